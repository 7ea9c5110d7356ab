"""Signatures as Standard Webhooks 1.0.0 has them: a secret's form, and headers that its own library accepts."""

import base64
import time

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from qa_service.webhooks.signatures import new_secret, signed_headers

BODY = '{"type":"message.completed","text":"七天内可以 😀"}'.encode()


def test_a_secret_is_the_base64_of_32_random_bytes_behind_whsec() -> None:
    prefix, _, key = new_secret().partition("_")
    assert (prefix, len(base64.b64decode(key, validate=True))) == ("whsec", 32)
    assert len({new_secret() for _ in range(100)}) == 100


def test_each_live_secret_verifies_and_no_other() -> None:
    new, old, other = new_secret(), new_secret(), new_secret()
    headers = signed_headers([new, old], webhook_id="whd_1", timestamp_s=int(time.time()), body=BODY)
    assert len(headers["webhook-signature"].split(" ")) == 2
    for secret in (new, old):
        assert Webhook(secret).verify(BODY, headers)["type"] == "message.completed"
    for changed, given in (({}, BODY + b" "), ({"webhook-id": "whd_2"}, BODY), ({"webhook-timestamp": "1"}, BODY)):
        with pytest.raises(WebhookVerificationError):
            Webhook(new).verify(given, headers | changed)
    with pytest.raises(WebhookVerificationError):
        Webhook(other).verify(BODY, headers)
