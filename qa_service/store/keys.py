"""The name of every Redis key and channel, in one place. It knows nothing of what they hold."""

from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import blake2b
from urllib.parse import quote, unquote
from zlib import crc32

from qa_service.domain.text import question_hash


@lru_cache(maxsize=256)
def _part(text: str) -> str:
    """A part of a name in which ":" cannot fake a border, nor "*" match a neighbour when keys are purged by pattern."""
    return quote(text, safe="")


def is_for_version(faq_key: str, version: str) -> bool:
    """Whether a cached answer's key was made for this version of the index."""
    return faq_key.split(":")[-3:-2] == [_part(version)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """All names of one tenant.

    A session's keys and its queue share the hash tag `{pN}` (N: 0 to `partitions` - 1), so that every script touches
    one slot of a Redis Cluster. `prefix` sets several installations in one Redis apart.
    """

    tenant: str
    prefix: str = "qa"
    partitions: int = 1

    def of(self, tenant: str) -> "Keys":
        """The same names for another tenant."""
        return self if tenant == self.tenant else replace(self, tenant=tenant)

    def partition(self, name: str) -> int:
        """Where a sid, a job id or a question hash lives (0 to `partitions` - 1)."""
        return crc32(name.encode(errors="surrogatepass")) % self.partitions

    def session(self, sid: str) -> str:
        """Hash: the session itself, its token's digest, its last `seq` and its running turn."""
        return self._own(sid, "session")

    def messages(self, sid: str) -> str:
        """Hash: message id -> message, and `key:` + idempotency key -> the pair it made."""
        return self._own(sid, "messages")

    def log(self, sid: str) -> str:
        """Stream: the durable events, with ids `<seq>-0`."""
        return self._own(sid, "log")

    def turns(self, sid: str) -> str:
        """List: accepted questions that wait for the running one."""
        return self._own(sid, "turns")

    def partial(self, sid: str) -> str:
        """Text: what is written so far of the answer that is being written, for minutes at most."""
        return self._own(sid, "partial")

    def queue(self, partition: int) -> str:
        """Stream: the tenant's jobs, and no other's. It has no TTL, so that no eviction policy may drop it."""
        return f"{self.prefix}:{{p{partition}}}:{_part(self.tenant)}:bot.query"

    def typed(self, partition: int) -> str:
        """Stream: what is being typed; apart from the questions, so that no key press waits behind a batch of them."""
        return f"{self.prefix}:{{p{partition}}}:{_part(self.tenant)}:bot.typed"

    def dead(self, partition: int) -> str:
        """Stream: jobs that were given up."""
        return f"{self.queue(partition)}.dead"

    def user(self, partition: int, uid: str) -> str:
        """Sorted set: sids of a uid's sessions in this partition -> when each was last looked after.

        It shares the sessions' slot, so that the script that changes one changes the other. A uid may be a phone
        number, which stands in no key's name: a digest does.
        """
        digest = blake2b(uid.encode(errors="surrogatepass"), digest_size=16).hexdigest()
        return f"{self.prefix}:{{p{partition}}}:{_part(self.tenant)}:user:{digest}"

    def webhooks(self) -> str:
        """Hash: endpoint id -> the endpoint, its secrets included."""
        return f"{self.prefix}:{{{_part(self.tenant)}}}:webhooks"

    def hooks(self, partition: int) -> str:
        """Hash: endpoint id -> the events that it wants. It shares the sessions' slot: who appends an event looks here.

        Deliveries lie beside it, under names that begin with this one (`lua/hooks.lua`).
        """
        return f"{self.prefix}:{{p{partition}}}:{_part(self.tenant)}:hooks"

    def outbox(self, partition: int) -> str:
        """Stream: events that some endpoint wants, until they have become deliveries."""
        return f"{self.prefix}:{{p{partition}}}:{_part(self.tenant)}:outbox"

    def hooked(self, sid: str) -> str:
        """Set: the deliveries of a session, so that they are erased with it."""
        return self._own(sid, "hooked")

    def hooked_user(self, partition: int, uid: str) -> str:
        """Set: the deliveries of a uid in this partition, those of expired sessions included."""
        return f"{self.user(partition, uid)}:hooked"

    def reply(self, job_id: str) -> str:
        """Text: the answer to a stateless question, for a few seconds."""
        return self._own(job_id, "reply")

    def events(self, partition: int) -> str:
        """Channel: names of sessions and stateless jobs in which something happened, and what is told to listeners."""
        return f"{self.prefix}:{{p{partition}}}:events"

    def index(self) -> str:
        """Hash: which index answers now, and since when nobody said so."""
        return f"{self.prefix}:{{{_part(self.tenant)}}}:index"

    def index_workers(self) -> str:
        """Sorted set: worker -> Unix milliseconds at which it was last heard of."""
        return f"{self.index()}:workers"

    def index_ready(self) -> str:
        """Hash: worker -> the version that it could answer from."""
        return f"{self.index()}:ready"

    def hot(self) -> str:
        """Sorted set: locale and normalised question -> how often it was computed lately."""
        return f"{self.prefix}:{{{_part(self.tenant)}}}:hot"

    def shadow(self, version: str) -> str:
        """Hash: what the serving version and a shadow version decided -> how often."""
        return f"{self.prefix}:{{{_part(self.tenant)}}}:shadow:{_part(version)}"

    def limit(self, name: str, subject_digest: str) -> str:
        """List: when a limited subject was counted lately; all limits of a tenant share a slot."""
        return f"{self.prefix}:{{{_part(self.tenant)}}}:limit:{name}:{subject_digest}"

    def faq_name(self, locale: str, version: str, generator: str, normalised: str) -> str:
        """What a cached answer depends on. Not a whole key yet: its partition is that of the session that asks."""
        parts = (self.tenant, "faq", locale, version, generator)
        return ":".join(map(_part, parts)) + ":" + question_hash(normalised)

    def faq(self, partition: int, faq_name: str) -> str:
        """Text: one cached answer."""
        return f"{self.prefix}:{{p{partition}}}:{faq_name}"

    def faq_everywhere(self, faq_name: str) -> list[str]:
        """The keys under which one answer may be cached: a partition's each."""
        return [self.faq(partition, faq_name) for partition in range(self.partitions)]

    def faq_of_question(self, faq_name: str) -> str:
        """The key under which stateless callers cache: in the partition of the question's own hash."""
        return self.faq(self.partition(faq_name.rpartition(":")[2]), faq_name)

    @staticmethod
    def name_in(faq_key: str) -> str:
        """Give the name that a cached answer's key puts into a partition."""
        return faq_key.partition("}:")[2]

    @staticmethod
    def tenant_and_locale(faq_key: str) -> tuple[str, str]:
        """Give the tenant and the locale that a cached answer's key names."""
        *_, tenant, _faq, locale, _version, _generator, _hash = faq_key.split(":")
        return unquote(tenant), unquote(locale)

    def faq_pattern(self) -> str:
        """A SCAN pattern for all cached answers of the tenant, in every partition."""
        return f"{self.prefix}:{{p*}}:{_part(self.tenant)}:faq:*"

    def _own(self, name: str, kind: str) -> str:
        return f"{self.prefix}:{{p{self.partition(name)}}}:{_part(self.tenant)}:{kind}:{name}"
