"""`hourpass keys pattern`: what a secret scanner needs to find this server's keys."""

import json

import click

from hourpass.cli.operator.database import read_settings, settings_options
from hourpass.cli.terminal import json_option, print_json
from hourpass.core.key_shape import published_pattern

_HEADS = {
    "gitleaks": "gitleaks: save it as .gitleaks.toml",
    "trufflehog": "trufflehog: save it as a file, for --config=FILE",
    "github": "GitHub: a custom pattern of a repository or an organization, or what you send to its partner programme",
}


@click.command()
@click.option("--for", "scanner", type=click.Choice(list(_HEADS)), help="print only what goes into this scanner")
@settings_options("data", "key_prefix")
@json_option
def pattern(flags: dict[str, object], scanner: str | None, as_json: bool) -> None:
    """Print the regular expression that finds this server's keys, and rules for gitleaks, trufflehog and GitHub.

    Imported keys look as their first issuer made them, and no rule finds them.
    """
    rules = scanner_rules(read_settings(flags).key_prefix)
    if as_json:
        print_json(rules)
    elif scanner is not None:
        print(rules[scanner])
    else:
        print(rules["regex"])
        for name, head in _HEADS.items():
            print(f"\n# {head}\n{rules[name]}")


def scanner_rules(prefix: str) -> dict[str, str]:
    """The regular expression for keys with this prefix, and a rule for each scanner, by name."""
    regex = published_pattern(prefix)
    keywords = [f"{prefix}_production_", f"{prefix}_sandbox_"]
    gitleaks = f"""\
[extend]
useDefault = true

[[rules]]
id = "{prefix}-api-key"
description = "{prefix} API key"
regex = '''({regex})'''
keywords = {json.dumps(keywords)}"""
    trufflehog = f"""\
detectors:
  - name: {prefix}-api-key
    keywords:
      - {keywords[0]}
      - {keywords[1]}
    regex:
      key: '({regex})'"""
    github = f"""\
Pattern name: {prefix} API key
Secret format: {regex}
Before secret: \\A|.
After secret: \\z|."""
    return {"prefix": prefix, "regex": regex, "gitleaks": gitleaks, "trufflehog": trufflehog, "github": github}
