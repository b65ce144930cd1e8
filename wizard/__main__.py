"""`python -m wizard` is the command `amplify-migrate`."""

from wizard.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
