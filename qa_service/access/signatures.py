"""Is a token signed with a key, by the one algorithm that the key is for? It knows no claim."""

from joserfc import jws
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jwa import JWSAlgModel
from joserfc.jwk import Key

from qa_service.access.compact import Compact


class _OneAlgorithm(jws.JWSRegistry):
    """Allows one algorithm, by whatever name; the stock one warns of EdDSA at each token, for its name alone."""

    def __init__(self, name: str) -> None:
        super().__init__(algorithms=(name,))

    def get_alg(self, name: str) -> JWSAlgModel:
        """Give the algorithm, which is never the token's choice."""
        if self.allowed != (name,):
            raise UnsupportedAlgorithmError(name)
        return self.algorithms[name]


_REGISTRIES = {name: _OneAlgorithm(name) for name in ("HS256", "ES256", "RS256", "EdDSA", "Ed25519")}


def is_signed(token: Compact, key: Key, algorithm: str) -> bool:
    """Whether the signature is that of `key`; False also for what is no signature at all."""
    try:
        jws.deserialize_compact(token.text, key, registry=_REGISTRIES[algorithm])
    except (JoseError, ValueError, TypeError):
        return False
    return True
