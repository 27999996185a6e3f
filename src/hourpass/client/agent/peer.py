"""The user id at the other end of a unix socket, which the kernel vouches for."""

import socket
import struct
import sys

_LOCAL_PEERCRED = 1
_SOL_LOCAL = 0
_XUCRED = struct.Struct("=IIhxx16I")
"""macOS's `struct xucred` (sys/ucred.h): version, uid, number of groups, groups."""

_UCRED = struct.Struct("=iII")
"""Linux's `struct ucred` (unix(7)): pid, uid, gid."""


def peer_uid(connection: socket.socket, platform: str = sys.platform) -> int:
    """The peer's user id when it connected.

    Raises:
        OSError: the kernel does not say.
    """
    if platform == "darwin":
        answer = connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED.size)
        if len(answer) < 8:
            raise OSError("no credentials of the peer")
        return int(struct.unpack_from("=II", answer)[1])
    _, uid, _ = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return int(uid)
