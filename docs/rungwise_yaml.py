"""Writes docs/reference/rungwise-yaml.md from the dataclasses of the use case. Run it: python docs/rungwise_yaml.py"""

from __future__ import annotations

import dataclasses
import types
import typing
from pathlib import Path
from typing import Any

from rungwise.core.serving import Breaker, Contest, Gates, Guarding, Serving, Timeouts
from rungwise.core.tasks import TASKS
from rungwise.core.usecase import Base, Columns, Endpoint, Groups, Included, Limits, Target, Trainings, UseCase
from rungwise.core.watching import Money, Reclimb, Review, Rule, Sink, Watching

PAGE = Path(__file__).parent / "reference" / "rungwise-yaml.md"

INTRODUCTION = """# rungwise.yaml

The use case: what is wanted, in one file that people may edit. `rungwise init` and `rungwise climb FILE` write it; most of its
keys also are options of the command line. An unknown key is an error that names the nearest known one. Whatever is left
out has its default.

```yaml
name: tickets
task: classify
data: ../tickets.csv
columns: {text: message, label: intent, group: customer_id}
target: accuracy=0.90
limits: {p95_s: 0.5, budget_usd: 5}
groups: {field: channel, floor: 0.8}
endpoints:
  - name: llama
    base_url: http://127.0.0.1:11434/v1
    model: llama3.2
    usd_per_hour: 0.60
include:
  - {path: ../predictions.csv, name: today, usd_per_1k: 1.20}
```

Paths are relative to the folder that holds the file. `target` may be written in one line, as above, or with its keys.

Three sections say how the project is served, what a release must pass and how it is watched. They are no part of the use case:
changing them changes no decision. A server reads `serve` when it starts, and `watch` at each look.

```yaml
serve:
  capture: masked
  aliases: {gpt-4o: release}
  fallback: {llama: [hosted]}
  guards:
    - {guard: phrases, settings: {words: [internal only]}}
gates: {p95_s: 0.5, usd_per_1k: 2, approval: true}
watch:
  group_tag: channel
  rules:
    - {name: fell, metric: quality.target, severity: critical, reclimb: true}
    - {name: dear, metric: cost.usd, when: value > 20}
  sinks: [{kind: webhook, to: "https://hooks.example.com/rungwise", secret_env: HOOK_KEY}]
  review: {per_day: 30, usd_per_hour: 25}
  money: {outcomes: {solved: 2.5}, baseline_usd_per_request: 1.2}
```
"""

SECTIONS: tuple[tuple[str, type, dict[str, str]], ...] = (
    (
        "The use case",
        UseCase,
        {
            "name": "What people call it.",
            "task": f"One of: {', '.join(sorted(TASKS))}.",
            "data": "The examples: CSV, TSV, JSONL (each also .gz) or Parquet; or `version:` and HEAD, a tag or an id.",
            "documents": "What is searched: a folder (text, Markdown, HTML, PDF), a table, or a URL.",
            "columns": "Which column plays which role, where it is not to be inferred.",
            "target": "What must be reached, and shown to be reached.",
            "limits": "What no candidate may break, and what no climb may spend.",
            "groups": "A quality floor for every value of a column.",
            "multi_label": "A row may carry several labels.",
            "label_separator": "What stands between several labels in one cell.",
            "out_of_scope": "The label that means 'none of ours'. Some metrics leave its rows out.",
            "descriptions": "Label to one sentence that says what it means, for the rungs that go by label names.",
            "endpoints": "Language models behind OpenAI-compatible addresses. Each adds rungs to the ladder.",
            "include": "Recorded answers of systems that already exist. Each is a rung.",
            "base": "A language model to begin training from, for answers. Each adds rungs to the ladder.",
            "preferences": "Pairs of answers of which one is preferred: prompt, chosen, rejected; or ratings, or corrections.",
            "train": "How the training rungs train.",
            "without": "Rungs that are left out of the ladder, by name.",
            "value_per_success_usd": "What a right answer is worth, in US dollars.",
            "forecast_volume": "How many answers development cost is spread over.",
            "machine_usd_per_hour": "What an hour of this machine costs, in US dollars; it prices local seconds.",
            "alpha": "Bound on the chance that any climb ever made on these sealed rows calls a candidate met that is not.",
            "seed": "Seed of everything that draws. The splits do not depend on it.",
        },
    ),
    (
        "columns",
        Columns,
        {
            "text": "The text, question or query.",
            "label": "The label, the answer or answers, or the ids of the documents that are to be found.",
            "group": "Rows with the same value stay in one split (a customer, a conversation, a document).",
            "split": "`train`, `dev` or `test` per row, where the splits are given.",
            "passage": "The passage that comes with a question.",
            "key": "Your own id of the row.",
        },
    ),
    (
        "target",
        Target,
        {
            "metric": "A metric that can be tested: accuracy, token_f1, ndcg_at_10, groundedness, macro_f1, auc ...",
            "value": "Above 0 and below 1.",
            "coverage": "The share of rows that must be answered; the metric then counts on those.",
        },
    ),
    (
        "limits",
        Limits,
        {
            "p95_s": "p95 of the seconds per answer; its upper bound must keep it.",
            "usd_per_1k": "Price of 1,000 answers.",
            "memory_mb": "Megabytes of what must be loaded to answer.",
            "licences": "The licences that a model or a source of the data may have.",
            "offline": "Nothing may leave this machine.",
            "budget_usd": "Hard cap on money paid to model providers, over all runs of a climb.",
            "budget_s": "Hard cap on seconds of work.",
            "budget_calls": "Hard cap on calls to models.",
        },
    ),
    (
        "groups",
        Groups,
        {
            "field": "The column.",
            "floor": "The least quality of each of its values.",
            "require": "`not_shown_bad`: no group may be shown to be below. `shown_good`: each must be shown to reach it.",
        },
    ),
    (
        "endpoints",
        Endpoint,
        {
            "name": "How the rungs of this endpoint are called.",
            "base_url": "The address up to and with /v1.",
            "model": "The model as the endpoint knows it.",
            "key_env": "The environment variable that holds its key. The key itself is kept nowhere.",
            "usd_per_m_input": "US dollars per million input tokens.",
            "usd_per_m_output": "US dollars per million output tokens.",
            "usd_per_m_cached": "US dollars per million input tokens that the provider had cached.",
            "usd_per_hour": "What an hour of its machine costs, for a model that you host yourself.",
            "concurrency": "How many calls may be under way at once.",
            "first_token_s": "Longest wait for the first piece of an answer.",
            "between_chunks_s": "Longest wait between two pieces.",
            "total_s": "Longest that a whole answer may take.",
            "retries": "How often a call that failed is tried again.",
            "max_tokens": "Longest answer, in tokens.",
            "licence": "Its licence, for `limits.licences`.",
            "json_schema": "Whether it can be told to answer in a JSON schema.",
            "logprobs": "Whether it gives log-probabilities, which become confidence.",
            "stream": "Whether answers are streamed.",
        },
    ),
    (
        "base",
        Base,
        {
            "path": "The folder, as Hugging Face keeps models: config.json, model.safetensors, tokenizer.json.",
            "licence": "Its licence, for `limits.licences`. Whatever is trained on it inherits it.",
        },
    ),
    (
        "train",
        Trainings,
        {
            "trials": "How many candidates a training rung may try on dev; 1 takes the measured defaults.",
            "search": "How their settings are searched: `bayesian`, `random` or `grid`.",
            "minutes": "How long a model of one's own may train, on this machine.",
            "general": "A text file or a folder of texts that a model which goes on training shall not forget.",
            "device": "`cpu` or `cuda`.",
            "settings": "Settings that are as given, by name: `lr`, `epochs`, `rank` ...",
        },
    ),
    (
        "include",
        Included,
        {
            "path": "A file with your ids or texts, and a column `prediction`; `confidence` if there is one.",
            "name": "How the rung is called.",
            "usd_per_1k": "What 1,000 of its answers cost.",
            "p95_s": "p95 of its seconds per answer, as you know it.",
        },
    ),
    (
        "serve",
        Serving,
        {
            "capture": "What traces keep of what was said: `off`, `masked` (personal data and secrets replaced) or `full`.",
            "retention_days": "How long traces are kept; for ever where it is left out.",
            "disk_full": "When a trace cannot be written: `refuse` the answer, or `answer` all the same and count it.",
            "timeouts": "Seconds that an answer of a release may take, in three parts (below).",
            "variant_timeouts": "The same for one variant, by its name.",
            "aliases": "Further model names: `{gpt-4o: release}` lets the live release answer programs that ask for gpt-4o.",
            "fallback": "Which engines are tried when one fails: `{hosted: [local]}`.",
            "retries": "How often one request is tried again when all its engines failed.",
            "retry_share": "At most this share of all requests is tried again.",
            "breaker": "When an engine that fails is left alone (below).",
            "guards": "What looks at questions and answers (below).",
            "cache_s": "How long the same question of the same tenant gets the same answer without asking; 0 for never.",
            "body_limit_bytes": "The longest request that is read.",
            "otlp_url": "Where traces are sent as OpenTelemetry (OTLP over HTTP).",
            "contest": "How variants are compared on live traffic (below).",
        },
    ),
    (
        "serve, under timeouts",
        Timeouts,
        {
            "first_token_s": "Until the first piece of an answer.",
            "between_chunks_s": "Between two pieces.",
            "total_s": "Until the end.",
        },
    ),
    (
        "serve, under breaker",
        Breaker,
        {"failures": "So many failures in a row, and an engine rests.", "rest_s": "Then one request tries whether it is back."},
    ),
    (
        "serve, each of guards",
        Guarding,
        {
            "guard": "`phrases`, `personal-data`, or the name of a plugin.",
            "where": "`input`, `output` or both.",
            "on_fail": "`block` refuses, `mask` replaces what offends, `flag` lets it pass and notes it in the trace.",
            "on_error": "When the guard itself breaks: `closed` refuses, `open` lets pass.",
            "settings": "Of the guard: `{words: [...]}` for phrases, `{types: [email]}` for personal-data.",
        },
    ),
    (
        "serve, under contest",
        Contest,
        {
            "metric": "`thumb`, `score`, `correct` (labels and corrections) or `value_usd`.",
            "level": "The chance of a false winner over the whole comparison, however often one looks.",
            "value_cap_usd": "Values beyond it count as much as it.",
            "automatic": "A shown winner takes all traffic, and a shown loser leaves it, without anybody.",
            "look_every_s": "How often a server looks, where it is automatic.",
        },
    ),
    (
        "gates",
        Gates,
        {
            "verdicts": "What the decision may have said of a candidate's rung.",
            "p95_s": "Upper limit of the p95 of the seconds per answer. `limits` of the use case hold besides.",
            "usd_per_1k": "Upper limit of the price of 1,000 answers.",
            "memory_mb": "Upper limit of the memory.",
            "least": "For metrics by name: the least lower bound of the dev interval.",
            "groups": "No group may be shown to be below its floor.",
            "evidence_days": "How old the decision may be.",
            "approval": "Somebody must put their name to it: `rungwise release --approve NAME`.",
        },
    ),
    (
        "watch",
        Watching,
        {
            "false_alarms_per_month": "Alarms that all drift monitors together may raise in 30 days without change, on average.",
            "reference": "Compared with what: `auto` (the first days after the release), `rows` (those of the decision) "
            "or `YYYY-MM-DD..YYYY-MM-DD`.",
            "reference_days": "How many days `auto` takes.",
            "group_tag": "The tag of a request that names its group; else the field of `groups`.",
            "off": "Monitors that are not wanted, by name or by the beginning of their names: `[drift.input, fairness]`.",
            "quality_level": "The chance of ever saying wrongly that the quality fell below the target.",
            "label_days": "How many days after the answer labels and outcomes may come.",
            "every_s": "How often a server looks whether a day is over.",
            "rules": "When to alert (below). Without any, a small set of usual ones holds.",
            "sinks": "Where alerts go (below).",
            "review": "Which answers people are asked to judge (below).",
            "money": "Costs and values that no trace tells of (below).",
            "reclimb": "How a re-climb proceeds (below).",
        },
    ),
    (
        "watch, each of rules",
        Rule,
        {
            "name": "How alerts of this rule are called.",
            "metric": "A monitor, or the beginning of names: `quality.target`, `drift`.",
            "when": "`alarm`, where the monitor says so itself; or `value > 5`, `high < 0.9` (shown to be below) and so on.",
            "days": "Only readings of windows of so many days.",
            "severity": "`info`, `warning` or `critical`.",
            "about": "Only readings of this part of the traffic: `{variant: b}`, `{group: learner}`.",
            "reclimb": "An alert of this rule starts a re-climb, where `reclimb.automatic` is on.",
        },
    ),
    (
        "watch, each of sinks",
        Sink,
        {
            "kind": "`terminal`, `file`, `webhook` or `smtp`.",
            "to": "The path, URL or address.",
            "least": "The least severity that is sent.",
            "server": "Of mail: host and port.",
            "sender": "Of mail: the address that it comes from.",
            "user": "Of mail: who logs in.",
            "secret_env": "The environment variable with the password of the mail server, or the key that signs webhooks.",
            "tls": "Of mail: whether the connection is encrypted.",
        },
    ),
    (
        "watch, under review",
        Review,
        {
            "per_day": "Answers drawn by chance from each day: only these tell the quality without bias, and become sealed rows.",
            "uncertain_per_day": "More of them, from where they teach most: unsure, disagreeing, complained of, drifted.",
            "copies": "How many reviewers judge each, unseen by one another.",
            "reviewers": "Their names, where items are to be shared out.",
            "seconds_per_item": "How long one takes, until it is measured.",
            "usd_per_hour": "What an hour of a reviewer costs.",
        },
    ),
    (
        "watch, under money",
        Money,
        {
            "outcomes": "What an outcome is worth in US dollars, where the feedback does not say: `{converted: 12}`.",
            "label_usd": "What one training label cost.",
            "storage_usd_per_gb_month": "What storing a gigabyte costs.",
            "baseline_usd_per_request": "What a request costs when nothing answers it here: doing nothing.",
            "saved_minutes_per_success": "Minutes that a right answer saves somebody.",
            "minute_usd": "What such a minute is worth.",
            "budget_usd_per_month": "What answering may cost in a month.",
            "user_budget_usd_per_month": "What answering one user may cost in a month.",
        },
    ),
    (
        "watch, under reclimb",
        Reclimb,
        {
            "approve": "Steps at which it waits for a person: `climb`, `shadow`, `contest`, `promote`.",
            "least_rows": "With fewer new rows it does not begin.",
            "shadow_requests": "So many answers are compared unseen first.",
            "contest_share": "Then the new candidate gets this share of the traffic.",
            "contest_days": "For at most so many days; without a verdict the old one stays.",
            "margin": "By how much a cheaper candidate may be worse on live traffic and still be promoted.",
            "automatic": "Alerts of rules with `reclimb: true` start one by themselves.",
        },
    ),
)


def page() -> str:
    """The whole page. Raises ValueError for a key without a sentence, or a sentence without its key."""
    parts = [INTRODUCTION]
    for title, shape, meanings in SECTIONS:
        fields = dataclasses.fields(shape)
        wrong = {field.name for field in fields} ^ set(meanings)
        if wrong:
            raise ValueError(f"{title}: key and sentence do not agree for {', '.join(sorted(wrong))}")
        hints = typing.get_type_hints(shape)
        parts += [f"\n## {title}\n", "| key | kind | default | |\n|---|---|---|---|"]
        parts += [f"| `{one.name}` | {_kind(hints[one.name])} | {_default(one, shape)} | {meanings[one.name]} |" for one in fields]
    return "\n".join(parts) + "\n"


def _kind(hint: Any) -> str:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _kind(next(one for one in args if one is not type(None)))
    if origin is tuple:
        return f"list of {_kind(args[0])}s" if args[0] is str else "list"
    if dataclasses.is_dataclass(hint) or origin is not None:
        return "keys"
    return {str: "text", float: "number", int: "whole number", bool: "true or false"}[hint]


def _default(field: dataclasses.Field[Any], shape: type) -> str:
    if field.name == "name" and shape is UseCase:
        return "the folder's name"
    if field.default is dataclasses.MISSING:
        return "needed" if field.default_factory is dataclasses.MISSING else ""
    if field.default in (None, "", ()):
        return ""
    if isinstance(field.default, tuple):
        return f"`[{', '.join(field.default)}]`"
    shown = str(field.default).lower() if isinstance(field.default, bool) else f"{field.default}"
    return f"`{shown}`".replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
