"""`antiphon shields measure`: how well rule sets tell what breaks their rules."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from antiphon import shield_plugins
from antiphon.config.settings import ConfigError, ProviderSettings, Settings
from antiphon.ports.adapters import AdapterConfigError
from antiphon.shields.measuring import Measured, Sample, SamplesUnreadable, measured, read_samples
from antiphon.shields.rule_files import built_in, built_in_names, built_in_samples
from antiphon.shields.rule_sets import RuleSet
from antiphon.shields.rules import own_rule_sets

_SHOWN = 90


def measure(settings: Settings, names: Sequence[str], samples: str | None, *, verbose: bool) -> int:
    """Print a line for each rule set. Returns the exit code. Raises ConfigError."""
    own = configured_rule_sets(settings)
    known = [*own, *(name for name in built_in_names() if name not in own)]
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.stderr.write(f'antiphon shields: no rule set "{unknown[0]}"; there are: {", ".join(known)}.\n')
        return 2
    if samples is not None and len(names) != 1:
        sys.stderr.write("antiphon shields: --samples belongs to one rule set; name it.\n")
        return 2
    results = list(_results(settings, own, names or known, samples))
    sys.stdout.write("".join(f"{line}\n" for line in table(results, verbose=verbose)))
    return 0


def table(results: Sequence[Measured], *, verbose: bool = False) -> Iterator[str]:
    wide = max((len(one.name) for one in results), default=8)
    yield f"{'rule set':<{wide}}  {'recall':>7}  {'false positives':>15}  samples"
    for one in results:
        counts = f"{one.violating} that break rules, {one.harmless} that do not"
        rate = f"{one.false_positive_rate:.1%}"
        yield f"{one.name:<{wide}}  {one.recall:>7.1%}  {rate:>15}  {counts}"
        if verbose:
            yield from (f"  missed  {_short(sample)}" for sample in one.missed)
            yield from (f"  wronged {_short(sample)}" for sample in one.wronged)


def configured_rule_sets(settings: Settings) -> Mapping[str, RuleSet]:
    """Those of all providers of type `inline::rules`; of one name, the first. Raises ConfigError."""
    found: dict[str, RuleSet] = {}
    for one in settings.providers.safety:
        if one.provider_type == shield_plugins.DEFAULT_TYPE:
            found = {**_own(settings, one), **found}
    return found


def _own(settings: Settings, provider: ProviderSettings) -> Mapping[str, RuleSet]:
    try:
        return own_rule_sets(provider.config, folder_of(settings))
    except AdapterConfigError as error:
        raise settings.safety_error(provider.provider_id, error.key, str(error)) from error


def folder_of(settings: Settings) -> Path:
    """Where relative paths in the configuration of shields begin: beside the file."""
    return Path(settings.source).parent if settings.source else Path()


def _results(
    settings: Settings, own: Mapping[str, RuleSet], names: Sequence[str], samples: str | None
) -> Iterator[Measured]:
    for name in names:
        rule_set = own[name] if name in own else built_in(name)
        if samples is not None:
            yield measured(rule_set, _from_file(Path(samples)))
        elif rule_set.samples:
            yield measured(rule_set, _from_file(folder_of(settings) / Path(rule_set.samples).expanduser()))
        elif name not in own:
            yield measured(rule_set, read_samples(built_in_samples(name)))
        else:
            sys.stderr.write(f"{name}: no samples; give the rule set `samples`, or say --samples FILE.\n")


def _from_file(path: Path) -> list[Sample]:
    """Raises ConfigError."""
    try:
        return read_samples(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(str(path), None, f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), None, f"is not UTF-8 text (byte {error.start})") from None
    except SamplesUnreadable as error:
        raise ConfigError(str(path), error.line, str(error)) from None


def _short(sample: Sample) -> str:
    line = " ".join(sample.text.split())
    return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 1]}…"
