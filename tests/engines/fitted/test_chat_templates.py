"""A conversation becomes tokens, and what the assistant said is marked to the token."""

from __future__ import annotations

import json

import pytest

from rungwise.core.errors import UsageError
from rungwise.engines.fitted.files import Files

pytest.importorskip("transformers")

from rungwise.engines.fitted.chat import DEFAULT_TEMPLATE, Chat, Message
from rungwise.engines.fitted.models import CONFIG, TEMPLATE, TOKENIZER, TOKENIZER_CONFIG

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
PLAIN = (
    "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)
SEAMLESS = (
    "{% for message in messages %}{{ 'say' if message['role'] == 'assistant' else '' }}{{ message['content'] + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}say{% endif %}"
)
FORGETTING = (
    "{% for message in messages %}{% if loop.last or message['role'] != 'assistant' %}<|user|>{{ message['content'] }}"
    "{% endif %}{% endfor %}"
)
TALK = (
    Message("system", "Be kind."),
    Message("user", "Where is it?"),
    Message("assistant", "It is here."),
    Message("user", "And now?"),
    Message("assistant", "There it is."),
)


def base(template: str | None = None, *, marks: tuple[str, ...] = (), vocabulary: int = 400, **special: str) -> Files:
    """The tokenizer files of a byte-level base that knows `marks`, with a few merges that could run over a seam."""
    from tokenizers import Tokenizer
    from tokenizers.decoders import ByteLevel as Joined
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel
    from tokenizers.trainers import BpeTrainer

    made = Tokenizer(BPE())
    made.pre_tokenizer, made.decoder = ByteLevel(add_prefix_space=False), Joined()
    trainer = BpeTrainer(
        vocab_size=281 + len(marks), special_tokens=list(marks), initial_alphabet=ByteLevel.alphabet(), show_progress=False
    )
    made.train_from_iterator(["It is here. There it is. assistant: It is", "saying"] * 9, trainer)
    files = {TOKENIZER: made.to_str().encode(), CONFIG: json.dumps({"vocab_size": vocabulary}).encode()}
    files[TOKENIZER_CONFIG] = json.dumps(special).encode()
    return files if template is None else {**files, TEMPLATE: template.encode()}


def chatml() -> Files:
    return base(CHATML, marks=("<|im_start|>", "<|im_end|>", "<eos>"), eos_token="<|im_end|>")


def said(chat: Chat, talk: tuple[Message, ...]) -> tuple[str, str]:
    found = chat.rendered(talk)
    return chat.tokenizer.decode(found.ids), "|".join(_runs(chat, found.ids.tolist(), found.answered.tolist()))


def _runs(chat: Chat, ids: list[int], answered: list[bool]) -> list[str]:
    runs: list[list[int]] = []
    for place, (one, own) in enumerate(zip(ids, answered, strict=True)):
        if own:
            runs = [*runs, []] if not place or not answered[place - 1] else runs
            runs[-1].append(one)
    return [chat.tokenizer.decode(run) for run in runs]


def test_the_answers_and_the_marks_that_end_them_are_marked_and_nothing_else() -> None:
    chat = Chat(chatml())
    text, answers = said(chat, TALK)
    assert text == "".join(f"<|im_start|>{one.role}\n{one.content}<|im_end|>\n" for one in TALK)
    assert answers == "It is here.<|im_end|>|There it is.<|im_end|>"


def test_the_tokens_are_those_of_the_tokenizers_own_template() -> None:
    chat = Chat(chatml())
    messages = [{"role": one.role, "content": one.content} for one in TALK]
    assert chat.rendered(TALK).ids.tolist() == chat.tokenizer.apply_chat_template(messages, return_dict=False)
    asked = chat.tokenizer.apply_chat_template(messages[:4], add_generation_prompt=True, return_dict=False)
    assert chat.prompt(TALK[:4]) == asked


def test_a_tokenizer_without_a_template_gets_one_that_is_kept_with_the_model() -> None:
    marks = ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>")
    chat = Chat(base(marks=marks))
    text, answers = said(chat, TALK)
    assert text == (
        "<|system|>Be kind.<|end|><|user|>Where is it?<|end|><|assistant|>It is here.<|end|>"
        "<|user|>And now?<|end|><|assistant|>There it is.<|end|>"
    )
    assert answers == "It is here.<|end|>|There it is.<|end|>"
    assert chat.files == {TEMPLATE: DEFAULT_TEMPLATE.encode()}
    assert chat.ends() == [chat.tokenizer.convert_tokens_to_ids("<|end|>")]
    assert said(Chat({**base(marks=marks), **chat.files}), TALK) == (text, answers)


def test_the_end_of_text_of_a_base_ends_its_answers() -> None:
    chat = Chat(base(marks=("<s>", "</s>"), eos_token="</s>", bos_token="<s>"))
    text, answers = said(chat, TALK[1:3])
    assert text == "<s><|user|>Where is it?</s><|assistant|>It is here.</s>"
    assert answers == "It is here.</s>"
    assert chat.ends() == [chat.tokenizer.eos_token_id]


@pytest.mark.parametrize("files", [chatml(), base(PLAIN), base(SEAMLESS), base()], ids=["marks", "plain", "seamless", "none"])
def test_what_is_learned_follows_the_very_tokens_that_will_be_asked(files: Files) -> None:
    chat = Chat(files)
    found = chat.rendered(TALK)
    begins = [place for place in range(1, len(found.ids)) if found.answered[place] and not found.answered[place - 1]]
    assert len(begins) == 2
    for begin, turns in zip(begins, (2, 4), strict=True):
        assert chat.prompt(TALK[:turns]) == found.ids[:begin].tolist()


def test_a_merge_does_not_run_over_the_seam_between_question_and_answer() -> None:
    chat = Chat(base(SEAMLESS))
    assert chat.tokenizer.tokenize("saying") == ["saying"]
    found = chat.rendered((Message("user", "a"), Message("assistant", "ing so.")))
    assert chat.tokenizer.decode(found.ids) == "a\nsaying so.\n"
    assert chat.tokenizer.decode(found.ids[found.answered]) == "ing so."
    assert chat.prompt((Message("user", "a"),)) == found.ids[: found.answered.argmax()].tolist()


def test_a_blank_answer_is_not_learned() -> None:
    chat = Chat(chatml())
    blank = (Message("user", "a"), Message("assistant", " "), Message("user", "b"), Message("assistant", "It is."))
    assert said(chat, blank)[1] == "It is.<|im_end|>"
    assert not chat.rendered(blank[:2]).answered.any()


def test_a_template_that_rewrites_earlier_turns_is_refused_with_what_to_do() -> None:
    chat = Chat(base(FORGETTING))
    assert said(chat, TALK[1:3])[1] == "<|user|>It is here."
    with pytest.raises(UsageError, match="one answer each"):
        chat.rendered(TALK)
    assert chat.tokenizer.decode(chat.prompt(TALK[1:4])) == "<|user|>Where is it?<|user|>And now?"


def test_a_template_that_refuses_a_role_is_told() -> None:
    chat = Chat(base("{{ raise_exception('no system turn here') }}"))
    with pytest.raises(UsageError, match="no system turn here"):
        chat.prompt(TALK[:2])


def test_a_tokenizer_with_more_tokens_than_the_base_embeds_is_refused() -> None:
    with pytest.raises(UsageError, match=r"281 tokens and the base embeds 200.*tokenizer\.json of the base"):
        Chat(base(vocabulary=200))
