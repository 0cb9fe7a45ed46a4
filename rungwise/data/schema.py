"""Every table of a project's store, in one place."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Index, Integer, LargeBinary, MetaData, Table, Text

metadata = MetaData()

settings = Table("settings", metadata, Column("name", Text, primary_key=True), Column("value", Text, nullable=False))

# Nouns are stored once, under the id of their content.
nouns = Table(
    "nouns",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("at", Float, nullable=False),
    Index("nouns_kind_at", "kind", "at"),
)

# Which noun was made from which: walked both ways.
edges = Table(
    "edges",
    metadata,
    Column("child", Text, primary_key=True),
    Column("parent", Text, primary_key=True),
    Column("role", Text, nullable=False),
    Index("edges_parent", "parent"),
)

rows = Table(
    "rows",
    metadata,
    Column("id", Text, primary_key=True),
    Column("input_id", Text, nullable=False),
    Column("body", Text, nullable=False),
    Index("rows_input_id", "input_id"),
)

members = Table(
    "members",
    metadata,
    Column("dataset", Text, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("row", Text, nullable=False),
    Column("split", Text, nullable=False),
    # The record of a version that the row was read from; NULL where it came straight from a file.
    Column("record", Text),
    Index("members_row", "row"),
)

# Packs of an import that was not committed yet: after a kill, the next one goes on from them.
pending_packs = Table(
    "pending_packs",
    metadata,
    Column("source", Text, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("pack", Text, nullable=False),
)

# Where the head of the data stood: one row for each time that it moved, and what moved it.
moves = Table(
    "moves",
    metadata,
    Column("n", Integer, primary_key=True, autoincrement=True),
    Column("version", Text, nullable=False),
    Column("verb", Text, nullable=False),
    Column("at", Float, nullable=False),
)

# Names that people gave to versions.
tags = Table("tags", metadata, Column("name", Text, primary_key=True), Column("version", Text, nullable=False))

# Records that were erased: what is kept of them is the digest, so that the same row is not taken in again.
erased = Table("erased", metadata, Column("id", Text, primary_key=True), Column("at", Float, nullable=False))

# Work done once: key -> output. An artefact's output is its manifest.
steps = Table(
    "steps",
    metadata,
    Column("key", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("output", Text, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("at", Float, nullable=False),
)

calls = Table(
    "calls",
    metadata,
    Column("key", Text, primary_key=True),
    Column("model", Text, nullable=False),
    Column("response", Text, nullable=False),
    Column("usage", Text, nullable=False),
    Column("at", Float, nullable=False),
)

# Money, seconds and calls, reserved before they are spent. state: reserved or settled.
spend = Table(
    "spend",
    metadata,
    Column("id", Text, primary_key=True),
    Column("run", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("reserved_usd", Float, nullable=False),
    Column("usd", Float, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("calls", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("at", Float, nullable=False),
    Index("spend_run", "run"),
)

# The sealed ledger. Rows that were ever opened together, however indirectly, are one family.
sealed_rows = Table(
    "sealed_rows",
    metadata,
    Column("input_id", Text, primary_key=True),
    Column("family", Text, nullable=False),
    Index("sealed_rows_family", "family"),
)

# One row per nomination. `candidate` is NULL where the rung had nobody worth opening; then k is 0.
# `result` stays NULL between the commit of the nomination and its verdict.
openings = Table(
    "openings",
    metadata,
    Column("id", Text, primary_key=True),
    Column("climb", Text, nullable=False),
    Column("rung", Text, nullable=False),
    Column("candidate", Text),
    Column("test", Text, nullable=False),
    Column("family", Text),
    Column("k", Integer, nullable=False),
    Column("alpha", Float, nullable=False),
    Column("result", Text),
    Column("note", Text, nullable=False),
    Column("at", Float, nullable=False),
    Index("openings_climb_rung", "climb", "rung", unique=True),
    Index("openings_test", "candidate", "test"),
    Index("openings_family", "family"),
)

# Where the pointer to the live release stood: one row for each time that it moved. The last row is the live release.
release_moves = Table(
    "release_moves",
    metadata,
    Column("n", Integer, primary_key=True, autoincrement=True),
    Column("release", Text, nullable=False),
    Column("verb", Text, nullable=False),
    Column("by", Text),
    Column("why", Text),
    Column("at", Float, nullable=False),
)

# API keys. Of the key itself only the digest is kept; the secret for signatures is derived from the master key, which is no
# part of the store. `root` is the first of the keys that replaced one another: what they use is counted on one meter.
keys = Table(
    "keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("tenant", Text),
    Column("user", Text),
    Column("limits", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float),
    Column("revoked_at", Float),
    Column("replaced_by", Text),
    Column("root", Text, nullable=False),
    Index("keys_digest", "digest", unique=True),
)

# Limits of tenants and of their users; the name * stands for each user that has none of its own. No tenant is ''.
allowances = Table(
    "allowances",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("tenant", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("limits", Text, nullable=False),
)

# What was used of a limit in a window of time: reserved before the call, exact after it. Whole numbers: requests, tokens,
# or thousand-millionths of a US dollar, so that sums are exact.
meters = Table(
    "meters",
    metadata,
    Column("subject", Text, primary_key=True),
    Column("measure", Text, primary_key=True),
    Column("window", Integer, primary_key=True),
    Column("used", BigInteger, nullable=False),
)

# Who did what: each row holds the digest of the row before it.
audit = Table(
    "audit",
    metadata,
    Column("n", Integer, primary_key=True, autoincrement=True),
    Column("at", Float, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("details", Text, nullable=False),
    Column("previous", Text, nullable=False),
    Column("digest", Text, nullable=False),
)

# Judgements on traces, in the order in which they came: `at` is when something was judged, which may be long before. What an
# A/B comparison needs of the trace stands beside it, since the trace may be gone by then: the release and variant that answered,
# whom (`unit`), and whether the answer agreed with the label or correction.
feedback = Table(
    "feedback",
    metadata,
    Column("n", Integer, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True),
    Column("trace", Text, nullable=False),
    Column("tenant", Text),
    Column("source", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("at", Float, nullable=False),
    Column("release", Text),
    Column("variant", Text),
    Column("unit", Text),
    Column("thumb", Float),
    Column("score", Float),
    Column("correct", Float),
    Column("value_usd", Float),
    Index("feedback_trace", "trace"),
    Index("feedback_release", "release", "n"),
    Index("feedback_at", "at"),
)

# What monitors said of the windows that ended with a day (days since 1970). A day that was looked at is never looked at again.
readings = Table(
    "readings",
    metadata,
    Column("day", Integer, primary_key=True),
    Column("monitor", Text, primary_key=True),
    Column("about", Text, primary_key=True),
    Column("days", Integer, primary_key=True),
    Column("state", Text, nullable=False),
    Column("body", Text, nullable=False),
    Index("readings_monitor", "monitor", "day"),
)
looks = Table("looks", metadata, Column("day", Integer, primary_key=True), Column("at", Float, nullable=False))

# What is kept of a day's traffic to compare other days with: `kind` names what made it, so that a new way makes new ones.
sketches = Table(
    "sketches",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("day", Integer, primary_key=True),
    Column("body", LargeBinary, nullable=False),
)

# Alerts. state: open, acknowledged or resolved. One is open at most for each rule and what it is about (`key`).
alerts = Table(
    "alerts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("rule", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("opened_at", Float, nullable=False),
    Column("changed_at", Float, nullable=False),
    Column("by", Text),
    Index("alerts_key", "key", "state"),
)

# What is still to be told to whom, and what was. event: opened or resolved; state: pending, sent or given_up.
deliveries = Table(
    "deliveries",
    metadata,
    Column("alert", Text, primary_key=True),
    Column("event", Text, primary_key=True),
    Column("sink", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", Float, nullable=False),
    Column("error", Text),
)

# Answers that people shall look at. `chance` is the probability with which the trace was drawn from those of its day, 0 where it
# was not drawn by chance; `other` the second answer of a blind pair. state: open, adjudicate (reviewers differ), agreed (may still
# be taken back), closing, closed (it is feedback now), or gone (the trace is).
reviews = Table(
    "reviews",
    metadata,
    Column("id", Text, primary_key=True),
    Column("trace", Text, nullable=False),
    Column("tenant", Text),
    Column("reason", Text, nullable=False),
    Column("chance", Float, nullable=False),
    Column("day", Integer, nullable=False),
    Column("other", Text),
    Column("state", Text, nullable=False),
    Column("assigned_to", Text),
    Column("assigned_at", Float),
    Column("body", Text, nullable=False),
    Column("at", Float, nullable=False),
    Index("reviews_state", "state", "day"),
    Index("reviews_trace", "trace"),
)

# What each reviewer said of an item, in order; one that was taken back has `undone_at`.
review_verdicts = Table(
    "review_verdicts",
    metadata,
    Column("n", Integer, primary_key=True, autoincrement=True),
    Column("review", Text, nullable=False),
    Column("reviewer", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("at", Float, nullable=False),
    Column("undone_at", Float),
    Index("review_verdicts_review", "review"),
    Index("review_verdicts_reviewer", "reviewer", "n"),
)

# Costs that no trace tells of: kind is labels, review, storage or whatever people call it.
costs = Table(
    "costs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("candidate", Text),
    Column("usd", Float, nullable=False),
    Column("note", Text, nullable=False),
    Column("at", Float, nullable=False),
)

# Re-climbs and how far each has come: one row for each step that is done, with what it gave.
reclimbs = Table(
    "reclimbs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("at", Float, nullable=False),
)
reclimb_steps = Table(
    "reclimb_steps",
    metadata,
    Column("reclimb", Text, primary_key=True),
    Column("step", Text, primary_key=True),
    Column("output", Text, nullable=False),
    Column("at", Float, nullable=False),
)

# Answers that may be given again: to the same question (cache), or to the same request sent twice (idempotency).
replies = Table(
    "replies",
    metadata,
    Column("key", Text, primary_key=True),
    Column("status", Integer, nullable=False),
    Column("body", Text, nullable=False),
    Column("trace", Text, nullable=False),
    Column("at", Float, nullable=False),
    Column("until", Float, nullable=False),
    Index("replies_until", "until"),
)
