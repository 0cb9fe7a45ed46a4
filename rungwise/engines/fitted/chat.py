"""A conversation as tokens: rendered by the template of the tokenizer, with a mask of what the assistant said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from rungwise.core.errors import MissingExtra, UsageError
from rungwise.engines.fitted.files import Files
from rungwise.engines.fitted.models import TEMPLATE, load_tokenizer, read_config

DEFAULT_TEMPLATE = (
    "{{ bos_token if bos_token and bos_token != eos_token else '' }}"
    "{% for message in messages %}"
    "<|{{ message['role'] }}|>{{ message['content'] }}{{ eos_token or '<|end|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
"""The template of a tokenizer that has none: <|user|>question<|end|><|assistant|>answer<|end|>, or its own end of text as the end.

A vocabulary that holds these marks spells each as one token; another spells them by several.
"""

ASSISTANT: Final = "assistant"


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


Conversation = Sequence[Message]


@dataclass(frozen=True)
class Rendered:
    """The tokens of a conversation (T,) and which of them (T,) the assistant said: its words and the mark that ends them."""

    ids: NDArray[np.int64]
    answered: NDArray[np.bool_]


class Chat:
    """Conversations to tokens, for the tokenizer among the files of a model.

    Raises Corrupt when there is none that can be read, UsageError when it is another model's.
    """

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.tokenizer = load_tokenizer(files)
        self.template: str = self.tokenizer.chat_template or DEFAULT_TEMPLATE
        check_vocabulary(self.tokenizer, files)

    @property
    def files(self) -> Files:
        """The template, as the file of a model folder: whoever loads the model renders as it was fitted."""
        return {TEMPLATE: self.template.encode()}

    def rendered(self, conversation: Conversation) -> Rendered:
        """A whole conversation. Raises UsageError when the template writes earlier turns otherwise once later ones follow.

        The tokens before an answer are those that `prompt` gives, so that what is learned is what will be asked. The line
        end that some templates put behind the mark of the end is nobody's.
        """
        said = self._said(conversation, self._text(conversation))
        if said is None:
            raise UsageError(
                "the chat template of the base writes earlier turns otherwise when later ones follow, so that answers cannot be "
                f"told from questions. Give conversations with one answer each, or the base another {TEMPLATE}"
            )
        ids, answered = said
        return Rendered(np.array(ids, np.int64), np.array(answered, bool))

    def prompt(self, conversation: Conversation) -> list[int]:
        """The tokens after which the assistant speaks."""
        text = self._text(conversation, asked=True)
        said = self._said(conversation, text)
        return self._tokens(text) if said is None else said[0]

    def ends(self) -> list[int]:
        """The tokens that end an answer: the last one that the template puts behind it, and the tokenizer's end of text."""
        asked = (Message("user", "a"),)
        one = self.rendered((*asked, Message(ASSISTANT, "b")))
        said = one.ids[one.answered]
        last, own = int(said[-1]), self.tokenizer.eos_token_id
        found = {last} if last in self.tokenizer.all_special_ids or own is None else set()
        return sorted(found | ({own} if own is not None else set()))

    def _said(self, conversation: Conversation, whole: str) -> tuple[list[int], list[bool]] | None:
        """The tokens of `whole`, which is the conversation as a text, and which of them answer; None when turns are rewritten."""
        ids: list[int] = []
        answered: list[bool] = []
        text = ""
        for place, message in enumerate(conversation):
            if message.role != ASSISTANT or not message.content.strip():
                continue
            before, after = self._text(conversation[:place], asked=True), self._text(conversation[: place + 1])
            if not (before.startswith(text) and after.startswith(before) and whole.startswith(after)):
                return None
            ids = self._longer(ids, text, before)
            answered += [False] * (len(ids) - len(answered))
            text = before + after[len(before) :].rstrip()
            ids = self._longer(ids, before, text)
            answered += [True] * (len(ids) - len(answered))
        ids = self._longer(ids, text, whole)
        return ids, answered + [False] * (len(ids) - len(answered))

    def _longer(self, ids: list[int], text: str, longer: str) -> list[int]:
        """The tokens of `longer`, which begins with `text`, whose tokens are `ids` and stay as they are.

        They are those of the longer text as a whole where it begins with them, as it does when a mark stands at the seam;
        else the rest is cut into tokens on its own, as it is when a model goes on from a prompt.
        """
        whole = self._tokens(longer)
        return whole if whole[: len(ids)] == ids else ids + self._tokens(longer[len(text) :])

    def _tokens(self, text: str) -> list[int]:
        found: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return found

    def _text(self, conversation: Conversation, *, asked: bool = False) -> str:
        try:
            from jinja2 import TemplateError
        except ImportError as error:
            raise MissingExtra("chat templates", "local") from error
        messages = [{"role": one.role, "content": one.content} for one in conversation]
        try:
            found: str = self.tokenizer.apply_chat_template(
                messages, chat_template=self.template, tokenize=False, add_generation_prompt=asked
            )
        except TemplateError as error:
            raise UsageError(f"the chat template of the base refuses a conversation: {error}. Change its turns") from error
        return found


def check_vocabulary(tokenizer: Any, files: Mapping[str, bytes]) -> None:
    """Raise UsageError when a tokenizer makes tokens that the base has no embedding for."""
    config = read_config(files)
    size = config.get("vocab_size") or config.get("text_config", {}).get("vocab_size")
    if size is not None and len(tokenizer) > int(size):
        raise UsageError(
            f"the tokenizer has {len(tokenizer):,} tokens and the base embeds {int(size):,}: it is another model's. "
            "Put the tokenizer.json of the base beside its weights"
        )
