"""The one exception of Segue."""


class Error(RuntimeError):
    """What failed, with which file, operator or key, and what to do.

    code: invalid_argument, invalid_model, unsupported, infeasible, io, compiler, device, mismatch,
    or internal.
    """

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code
