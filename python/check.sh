#!/usr/bin/env bash
# The package as a stranger gets it: a wheel, installed into a fresh environment and tested there. Run from anywhere;
# THEORY=path and MEASURE=path of the programs compare values with theirs (those of target/release or target/debug if
# built).
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
for folder in "$here"/../target/{release,debug}; do
    if [ -z "${THEORY:-}" ] && [ -x "$folder/theory" ]; then export THEORY=$folder/theory; fi
    if [ -z "${MEASURE:-}" ] && [ -x "$folder/measure" ]; then export MEASURE=$folder/measure; fi
done
# Beside the sources, whose folder `negatives` has no extension and would be imported in place of the wheel.
cp -r "$here/tests" "$here/../data" "$work"
cp -r "$here/../tests/oracle" "$work/tests"
cd "$work"
"$bin/python" -m pytest -q -p no:cacheprovider tests
package=$("$bin/python" -c 'import negatives, os; print(os.path.dirname(negatives.__file__))')
"$bin/python" -m pytest -q -p no:cacheprovider --doctest-modules "$package"
"$bin/python" -m mypy.stubtest negatives --concise --mypy-config-file "$here/pyproject.toml"
"$bin/python" -m mypy --config-file "$here/pyproject.toml" "$here/negatives"
"$bin/abi3audit" --strict "$wheel"
