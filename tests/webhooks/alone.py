"""The `webhooks` process without the command line, whose imports take longer than a test of five kills has."""

import asyncio
import signal

from qa_service.main_webhooks import run_webhooks
from qa_service.settings import load_settings


async def main() -> None:
    settings, stop = load_settings(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    assert settings.redis_url is not None
    await run_webhooks(settings, settings.redis_url.get_secret_value(), stop)


if __name__ == "__main__":
    asyncio.run(main())
