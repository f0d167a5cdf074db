"""JSON logs: a constant message and fields, one line each."""

import logging
import logging.config


def configure(level: str) -> None:
    """Send all logs to stderr as JSON lines.

    kopf logs whole objects at DEBUG, and an object may hold what is nobody's business, so it is kept at
    WARNING whatever the level.
    """
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "json": {
                    "()": "pythonjsonlogger.json.JsonFormatter",
                    "format": "%(asctime)s %(levelname)s %(name)s %(message)s",
                    "rename_fields": {"asctime": "time", "levelname": "level", "name": "logger"},
                }
            },
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
            "root": {"level": level, "handlers": ["stderr"]},
            "loggers": {"kopf": {"level": "WARNING"}, "aiohttp.access": {"level": "WARNING"}},
        }
    )
