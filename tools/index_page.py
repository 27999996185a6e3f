"""Makes the long description of the package: README.md with links that lead somewhere outside the repository, too.

A build calls it (`[tool.hatch.metadata.hooks.custom]` in pyproject.toml). Links become those of this version in the
repository that `[project.urls]` names. Without such a repository only their words stay.
"""

import re
from pathlib import Path

from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https://)([^)\s]+)\)")
PICTURE = re.compile(r"<picture\b.*?</picture>|<img\b[^>]*>", re.DOTALL)
ADDRESS = re.compile(r'\b(src|srcset|href)="(?!https://)([^"]+)"')


class IndexPage(MetadataHookInterface):  # noqa: D101 - the module says it
    def update(self, metadata):
        readme = Path(self.root, "README.md").read_text(encoding="utf-8")
        repository = metadata.get("urls", {}).get("Repository")
        text = with_links(readme, repository, metadata["version"]) if repository else without_links(readme)
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


def with_links(readme, repository, version):
    def address(target, kind):
        page = f"README.md{target}" if target.startswith("#") else target
        return f"{repository.rstrip('/')}/{kind}/v{version}/{page}"

    def link(match):
        picture, words, target = match.groups()
        return f"{picture}[{words}]({address(target, 'raw' if picture else 'blob')})"

    def attribute(match):
        name, target = match.groups()
        return f'{name}="{address(target, "blob" if name == "href" else "raw")}"'

    return ADDRESS.sub(attribute, LINK.sub(link, readme))


def without_links(readme):
    def words(match):
        return "".join(re.findall(r'\balt="([^"]*)"', match[0]))

    return LINK.sub(r"\2", PICTURE.sub(words, readme))
