"""What the tests' model server answers in place of a result."""

import grpc

INVALID, MISSING = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
CODES = {code.value[0]: code for code in grpc.StatusCode}  # by the numbers that TensorFlow has for them too


class RefusedError(Exception):
    """What a server answers in place of a result.

    Attributes:
      code: of gRPC.
    """

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code
