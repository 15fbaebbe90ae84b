"""``nettriage config``: the effective settings, a template, or a check."""

from __future__ import annotations

from nettriage.cli.arguments import VerbArguments
from nettriage.cli.installed import catalogue
from nettriage.cli.talk import put, say
from nettriage.model.errors import ExitCode
from nettriage.settings.load import load
from nettriage.settings.render import effective_toml, template_toml


def run(arguments: VerbArguments) -> int:
    """Print what was asked for to stdout; raises ConfigError where the settings are wrong."""
    keys = catalogue()
    if arguments.init:
        put(template_toml(keys))
        return ExitCode.DONE
    settings = load(keys, config=arguments.config, assignments=arguments.assignments)
    if arguments.check:
        changed = sum(origin != "default" for origin in settings.origins.values())
        say(f"the settings are right: {changed} of {len(settings.values)} keys are set, digest {settings.digest}")
        return ExitCode.DONE
    put(effective_toml(keys, settings))
    return ExitCode.DONE
