"""One attempt at one engine: sent, watched, read, counted; its end is told to the breaker and written on the tape."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from rungwise.core.content import Usage
from rungwise.core.serving import Timeouts
from rungwise.core.trace import Span
from rungwise.core.types import Clock
from rungwise.engines.exchange import BODY_LIMIT_BYTES, ERROR_LIMIT_BYTES
from rungwise.engines.resilience import TRIED_AGAIN, Failed, Failure, http_failure, retry_after_s
from rungwise.engines.secrets import redact
from rungwise.engines.upstream.reply import Reply
from rungwise.engines.wire import TokenCount, WireError, write_json
from rungwise.serve.ask import CHAT, COMPLETION, EMBEDDINGS, Tape
from rungwise.serve.failure import TimedOut
from rungwise.serve.routing.deadlines import ENGINE, Watch
from rungwise.serve.routing.engine import Target
from rungwise.serve.routing.events import DONE, Events
from rungwise.serve.routing.reading import Reported, Said, read_answer
from rungwise.serve.routing.refusing import about_the_request
from rungwise.serve.shapes import chunk_of_whole

PATHS = {CHAT: "/chat/completions", COMPLETION: "/completions", EMBEDDINGS: "/embeddings"}
_TRIED_AGAIN = ("rate_limit", "overloaded", "server_error", "unavailable", "timeout")


class Attempt:
    """Call `whole` or `stream`, once. Both raise Failed when the engine fails; `late` says by which limit when it was too slow."""

    def __init__(
        self, target: Target, operation: str, body: Mapping[str, Any], tape: Tape, *, clock: Clock, timeouts: Timeouts
    ) -> None:
        self.target, self._operation, self._body, self._tape, self._clock = target, operation, body, tape, clock
        self._timeouts = timeouts
        self.told = False  # something was handed on already
        self.late: TimedOut | None = None
        self._failure: Failure | None = None
        self._reply: Reply | None = None
        self._count: TokenCount | None = None
        self._sent_bytes = self._answer_bytes = self._pieces = 0
        self._done = False
        self.until = 0.0  # loop time at which the total runs out

    async def whole(self) -> bytes:
        """The body of the engine's answer."""
        watch = self._begin(stream=False)
        try:
            body = {**self._body, "model": self.target.model}
            if body.get("stream"):
                body["stream"] = False
                body.pop("stream_options", None)
            with watch:
                reply = await self._post(body)
                data = await reply.read(BODY_LIMIT_BYTES)
            self._answer_bytes = len(data)
            said, data = self._understood(data)
            if not said.choices and said.data is None:
                raise _rubbish("an answer without choices")
            self._tape.heard()
            self._done = True
            return data
        except Failed as failed:
            self._failure = failed.failure
            raise
        except TimedOut as late:
            raise self._too_slow(late) from None
        finally:
            self._end(watch)

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """The JSON of the engine's events, one after another, without `[DONE]`. Close it."""
        watch = self._begin(stream=True)
        try:
            wanted = self._body.get("stream_options") or {}
            with_usage = not isinstance(wanted, Mapping) or bool(wanted.get("include_usage"))
            with watch:
                reply = await self._post_stream({} if with_usage else {"stream_options": {**wanted, "include_usage": True}})
            async with aclosing(self._events(reply, watch)) as events:
                async for said, data in events:
                    if not said.choices and said.usage is not None and not with_usage:
                        continue  # only we had asked for it
                    self.told = True
                    yield data
            self._done = True
        except Failed as failed:
            self._failure = failed.failure
            raise
        except TimedOut as late:
            raise self._too_slow(late) from None
        finally:
            self._end(watch)

    async def _events(self, reply: Reply, watch: Watch) -> AsyncGenerator[tuple[Said, bytes], None]:
        """What the engine says, until [DONE], or the end of the bytes after the finish reason of each answer."""
        if b"event-stream" not in (reply.header(b"content-type") or b"").lower():
            with watch:
                data = await reply.read(BODY_LIMIT_BYTES)
            said, data = self._understood(data)
            if not said.choices:
                raise _rubbish("an answer without choices")
            self._heard(watch)
            yield said, chunk_of_whole(data)
            return
        events, finishes, answers = Events(), 0, self._body.get("n")
        answers = max(1, answers) if isinstance(answers, int) else 1
        async with aclosing(reply.chunks()) as chunks:  # type: ignore[type-var]
            while True:
                with watch:
                    try:
                        data = await anext(chunks, b"")
                    except Failed:
                        if finishes < answers:
                            raise
                        data = b""  # all was said but for the usage
                self._answer_bytes += len(data)
                for event in _split(events, data):
                    if event[:1] != b"{":
                        if event.startswith(DONE):
                            if not self._pieces:
                                raise _rubbish("a stream without choices")
                            reply.leave()
                            return
                        if not event or event.isspace():
                            continue
                    said, event = self._understood(event, cut=not data)
                    if said.choices:
                        self._heard(watch)
                        finishes += said.finish is not None
                    yield said, event
                if not data:
                    if finishes < answers:
                        raise Failed(Failure(what="cut the stream off", retry=True, worked=True))
                    return

    async def _post_stream(self, more: Mapping[str, Any]) -> Reply:
        """Ask for a stream, with the usage at its end; an engine that refuses to say it is asked without, from then on."""
        engine = self.target.engine
        body = {**self._body, "model": self.target.model, "stream": True}
        if more and not engine.without_usage:
            try:
                return await self._post({**body, **more})
            except Failed as failed:
                complaint = failed.failure.body
                if not about_the_request(failed.failure.status) or not (
                    "stream_options" in complaint or "include_usage" in complaint
                ):
                    raise
            engine.without_usage = True
        return await self._post(body)

    async def _post(self, body: Mapping[str, Any]) -> Reply:
        """Send it. Raises Failed for whatever is not a 200."""
        engine = self.target.engine
        data = write_json(body)
        self._sent_bytes = len(data)
        self._reply = reply = await engine.upstream.post(PATHS[self._operation], engine.headers(), data)
        if reply.status != 200:
            raise Failed(await self._refused(reply))
        return reply

    async def _refused(self, reply: Reply) -> Failure:
        """A status other than 200, with the beginning of its body."""
        try:
            text = (await reply.read(ERROR_LIMIT_BYTES)).decode("utf-8", "replace")
        except Failed:
            text = ""  # the status is known, and it says more than a missing body
        asked = reply.header(b"retry-after")
        after_s = retry_after_s(asked.decode("latin-1") if asked else None, now=self._clock.now())
        return http_failure(reply.status, self._redacted(text), retry_after=after_s)

    def _understood(self, json: bytes, *, cut: bool = False) -> tuple[Said, bytes]:
        """A body or an event with the bytes to hand on, its facts noted. Raises Failed for what is no answer."""
        engine = self.target.engine
        if engine.secret_bytes and engine.secret_bytes in json:
            json = redact(json.decode("utf-8", "replace"), engine.secret).encode()
        failure: Failed
        try:
            said, json = read_answer(json)
        except Reported as reported:
            failure = Failed(self._reported(reported.error))
        except WireError as error:
            failure = Failed(Failure(what="cut the stream off", retry=True, worked=True)) if cut else _rubbish(str(error))
        else:
            self._note(said)
            return said, json
        raise failure

    def _note(self, said: Said) -> None:
        tape = self._tape
        if said.usage is not None:
            self._count = said.usage.count or self._count
        if said.model:
            tape.model = said.model
        if said.id:
            tape.response_id = said.id
        if (finish := said.finish) is not None:
            tape.finish = finish

    def _heard(self, watch: Watch) -> None:
        """A piece of the answer has come."""
        self._pieces += 1
        watch.heard()
        self._tape.heard()

    def _reported(self, error: Mapping[str, Any]) -> Failure:
        """An error inside a 200 answer, or in the middle of a stream."""
        code = str(error.get("code") or error.get("status") or error.get("type") or "")
        again = (code.isdigit() and int(code) in TRIED_AGAIN) or any(word in code for word in _TRIED_AGAIN)
        message = self._redacted(str(error.get("message") or ""))[:200]
        status = 429 if code == "429" or "rate_limit" in code else None
        return Failure(what="reported an error inside its answer", retry=again, body=message, worked=True, status=status)

    def _redacted(self, text: str) -> str:
        engine = self.target.engine
        text = redact(text, engine.secret)
        return text.replace(engine.place, "[engine]") if engine.place in text else text

    def _too_slow(self, late: TimedOut) -> Failed:
        self.late = late
        self._failure = Failure(what=f"was too slow ({late.which})", retry=False, worked=True)
        return Failed(self._failure)

    def _begin(self, *, stream: bool) -> Watch:
        engine, tape = self.target.engine, self._tape
        engine.attempts += 1
        engine.in_flight += 1
        tape.engine, tape.model = engine.name, self.target.model
        self._begun_s = tape.elapsed_s
        self._mark = engine.machine.start() if engine.machine is not None else 0.0
        watch = Watch(self._timeouts, ENGINE, stream=stream)
        self.until = watch.deadline
        return watch

    def _end(self, watch: Watch) -> None:
        """However it ended: close what is open, tell the breaker, count what it cost."""
        watch.close()
        engine, tape, failure = self.target.engine, self._tape, self._failure
        engine.in_flight -= 1
        if self._reply is not None and not self._done:
            self._reply.abort()
        if failure is None:
            engine.judge(good=True if self._done else None)
        elif blames(failure):
            engine.judge(good=False, why=failure.what)
        else:
            engine.judge(good=True if about_the_request(failure.status) else None)
        seconds = tape.elapsed_s - self._begun_s
        usage = self._usage(engine.machine.stop(self._mark) if engine.machine is not None else 0.0, seconds)
        tape.add(usage)
        details = {"model": tape.model, "input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
        if failure is not None and failure.status is not None:
            details["status"] = failure.status
        error = failure.what if failure is not None else None if self._done else "cancelled"
        tape.spans.append(
            Span(name=engine.name, kind="model", start_s=self._begun_s, seconds=seconds, error=error, details=details)
        )

    def _usage(self, machine_s: float, seconds: float) -> Usage:
        """What it used; guessed and flagged where the model was at work and nobody said how much."""
        failure, count, estimated = self._failure, self._count, False
        if self._reply is None and failure is not None and not failure.sent:
            return Usage(seconds=seconds)
        if count is None and (failure is None or failure.worked):
            written = self._pieces or (0 if self._operation == EMBEDDINGS else self._answer_bytes // 4)
            count, estimated = TokenCount(-(-self._sent_bytes // 4), written), True
        count = count or TokenCount()
        usd = self.target.engine.price(self.target.model).of(count, machine_s)
        return Usage(count.input, count.output, count.cached, count.reasoning, 1, usd, estimated, seconds)


def blames(failure: Failure) -> bool:
    """Whether a failure speaks against the engine: not a request that it refused, not its limits, not a rule about its users."""
    return failure.status is None or failure.status in (401, 408) or failure.status >= 500


def _split(events: Events, data: bytes) -> list[bytes]:
    try:
        return events.feed(data) if data else events.close()
    except WireError as error:
        problem = str(error)
    raise _rubbish(problem)


def _rubbish(what: str) -> Failed:
    return Failed(Failure(what=f"answered outside the protocol: {what}", retry=False, agreed=False, worked=True))
