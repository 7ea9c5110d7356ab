"""`python -m benchmarks [NAME …]`: run benchmarks (all of them by default) and write benchmarks/results/NAME.json.

A benchmark is a module of this package with `QUESTION`, a sentence, and `main`, a click command that writes its result.
"""

import importlib
import pkgutil
import sys

import benchmarks


def names() -> list[str]:
    """Name the modules that ask a question; those with a leading underscore serve them."""
    found = (module.name for module in pkgutil.iter_modules(benchmarks.__path__))
    return sorted(name for name in found if not name.startswith("_"))


def main(arguments: list[str]) -> int:
    """Run the named benchmarks, or all."""
    unknown = set(arguments) - set(names())
    if unknown:
        print(f"no benchmark {', '.join(sorted(unknown))}; there are: {', '.join(names())}", file=sys.stderr)
        return 2
    for name in arguments or names():
        module = importlib.import_module(f"benchmarks.{name}")
        print(f"\n{name}: {module.QUESTION}", flush=True)
        module.main([], standalone_mode=False)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
