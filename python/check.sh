#!/usr/bin/env bash
# The package as a stranger gets it: a wheel, installed into a fresh environment and tested there. Run from anywhere;
# THEORY=path of the program `theory` compares values with the command line's (target/release or target/debug if built).
# PROFILE=dev builds what the tests of the crates have built already.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
bin=$work/venv/bin
"$bin/python" -m pip install -q --disable-pip-version-check -r "$here/requirements-dev.txt"
"$bin/maturin" build --profile "${PROFILE:-release}" --locked --manifest-path "$here/Cargo.toml" --out "$work/wheel"
wheel=$(ls "$work"/wheel/*.whl)
printf 'wheel: %s, %s bytes\n' "$(basename "$wheel")" "$(stat -c %s "$wheel")"
"$bin/python" -m pip install -q --disable-pip-version-check "$wheel"
for program in "$here"/../target/{release,debug}/theory; do
    if [ -z "${THEORY:-}" ] && [ -x "$program" ]; then export THEORY=$program; fi
done
# Beside the sources, whose folder `negatives` has no extension and would be imported in place of the wheel.
cp -r "$here/tests" "$here/../data" "$work"
cd "$work"
"$bin/python" -m pytest -q -p no:cacheprovider tests
package=$("$bin/python" -c 'import negatives, os; print(os.path.dirname(negatives.__file__))')
"$bin/python" -m pytest -q -p no:cacheprovider --doctest-modules "$package"
"$bin/python" -m mypy.stubtest negatives --concise --mypy-config-file "$here/pyproject.toml"
"$bin/python" -m mypy --config-file "$here/pyproject.toml" "$here/negatives"
"$bin/abi3audit" --strict "$wheel"
