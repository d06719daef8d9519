"""The only exception type of Segue."""


class Error(RuntimeError):
    """Says what failed, with which file, operator or key, and what to do.

    code: invalid_argument, invalid_model, unsupported, infeasible, io, compiler, device, mismatch,
    or internal.
    """

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code
