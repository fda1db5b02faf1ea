# SPDX-License-Identifier: Apache-2.0
"""libmemkv.so: where it is found, the structs of client/memkv.h, and its calls' types."""

import ctypes
import functools
import os

VARIABLE = "MEMKV_LIBRARY"
NAMES = ("libmemkv.so.0", "libmemkv.so")

ERROR_TEXT_BYTES = 256
STATS_BYTES_MAX = 274432


class Options(ctypes.Structure):
    """struct memkv_options"""

    _fields_ = [
        ("servers", ctypes.c_char_p),
        ("timeout_ms", ctypes.c_uint32),
        ("connect_timeout_ms", ctypes.c_uint32),
        ("client_name", ctypes.c_char_p),
        ("tenant", ctypes.c_char_p),
        ("connections", ctypes.c_uint32),
        ("shared_mib", ctypes.c_uint32),
        ("auth_key", ctypes.c_char_p),
        ("auth_key_id", ctypes.c_char_p),
        ("tls", ctypes.c_int),
        ("tls_ca", ctypes.c_char_p),
        ("tls_name", ctypes.c_char_p),
        ("discovery", ctypes.c_char_p),
        ("discovery_refresh_ms", ctypes.c_uint32),
        ("otel_endpoint", ctypes.c_char_p),
        ("transport", ctypes.c_char_p),
        ("rdma_devices", ctypes.c_char_p),
    ]


class Error(ctypes.Structure):
    """struct memkv_error"""

    _fields_ = [("status", ctypes.c_uint), ("text", ctypes.c_char * ERROR_TEXT_BYTES)]


class Server(ctypes.Structure):
    """struct memkv_server"""

    _fields_ = [
        ("items_max", ctypes.c_uint32),
        ("inline_bytes_max", ctypes.c_uint32),
        ("requests_max", ctypes.c_uint32),
        ("block_bytes_max", ctypes.c_uint64),
        ("value_bytes_max", ctypes.c_uint64),
        ("store_uuid", ctypes.c_uint8 * 16),
        ("version", ctypes.c_char * 25),
    ]


class Key(ctypes.Structure):
    """struct memkv_key"""

    _fields_ = [("bytes", ctypes.c_char_p), ("byte_count", ctypes.c_size_t)]


class Item(ctypes.Structure):
    """struct memkv_item. A key is a bytes object, which the struct keeps; data and buffer are bare
    addresses, which somebody else has to keep."""

    _fields_ = [
        ("op", ctypes.c_uint),
        ("flags", ctypes.c_uint32),
        ("expire_s", ctypes.c_uint32),
        ("tier", ctypes.c_uint),
        ("session", ctypes.c_uint64),
        ("action", ctypes.c_uint),
        ("reason", ctypes.c_uint),
        ("tokens", ctypes.c_uint64),
        ("key", ctypes.c_char_p),
        ("key_bytes", ctypes.c_size_t),
        ("data", ctypes.c_void_p),
        ("data_bytes", ctypes.c_uint64),
        ("reservation", ctypes.c_uint64),
        ("reserve_ms", ctypes.c_uint32),
        ("buffer", ctypes.c_void_p),
        ("capacity", ctypes.c_uint64),
        ("offset", ctypes.c_uint64),
        ("length", ctypes.c_uint64),
        ("status", ctypes.c_uint),
        ("miss", ctypes.c_uint),
        ("leased", ctypes.c_int),
        ("byte_count", ctypes.c_uint64),
        ("value_bytes", ctypes.c_uint64),
    ]


class Completion(ctypes.Structure):
    """struct memkv_completion"""

    _fields_ = [
        ("cookie", ctypes.c_uint64),
        ("items", ctypes.POINTER(Item)),
        ("item_count", ctypes.c_size_t),
        ("resident_count", ctypes.c_size_t),
        ("error", Error),
    ]


_CLIENT = ctypes.c_void_p
_ERROR = ctypes.POINTER(Error)
# What each call returns, and what it takes.
CALLS = {
    "memkv_open": (ctypes.c_uint, [ctypes.POINTER(Options), ctypes.POINTER(_CLIENT), _ERROR]),
    "memkv_close": (None, [_CLIENT]),
    "memkv_server_limits": (None, [_CLIENT, ctypes.POINTER(Server)]),
    "memkv_transport": (ctypes.c_char_p, [_CLIENT]),
    "memkv_buffer_forget": (ctypes.c_uint, [_CLIENT, ctypes.c_void_p, ctypes.c_uint64, _ERROR]),
    "memkv_trace_context": (ctypes.c_uint, [_CLIENT, ctypes.c_char_p, _ERROR]),
    "memkv_batch": (ctypes.c_uint, [_CLIENT, ctypes.POINTER(Item), ctypes.c_size_t, _ERROR]),
    "memkv_lookup": (ctypes.c_uint, [_CLIENT, ctypes.POINTER(Key), ctypes.c_size_t,
                                     ctypes.POINTER(ctypes.c_size_t), _ERROR]),
    "memkv_submit": (ctypes.c_uint, [_CLIENT, ctypes.POINTER(Item), ctypes.c_size_t,
                                     ctypes.c_uint64, ctypes.c_uint32, _ERROR]),
    "memkv_submit_lookup": (ctypes.c_uint, [_CLIENT, ctypes.POINTER(Key), ctypes.c_size_t,
                                            ctypes.c_uint64, ctypes.c_uint32, _ERROR]),
    "memkv_poll": (ctypes.c_size_t, [_CLIENT, ctypes.POINTER(Completion), ctypes.c_size_t]),
    "memkv_wait": (ctypes.c_size_t, [_CLIENT, ctypes.POINTER(Completion), ctypes.c_size_t,
                                     ctypes.c_uint32]),
    "memkv_cancel": (ctypes.c_uint, [_CLIENT, ctypes.c_uint64, _ERROR]),
    "memkv_fd": (ctypes.c_int, [_CLIENT]),
    "memkv_set_timeout": (None, [_CLIENT, ctypes.c_uint32]),
    "memkv_ping": (ctypes.c_uint, [_CLIENT, _ERROR]),
    "memkv_stats": (ctypes.c_uint, [_CLIENT, ctypes.c_char_p, ctypes.c_size_t,
                                    ctypes.POINTER(ctypes.c_size_t), _ERROR]),
}


def candidates():
    """Where the library may be, in the order in which it is tried."""
    named = os.environ.get(VARIABLE)
    if named:
        return [named]
    folder = os.path.dirname(os.path.abspath(__file__))
    beside = [os.path.join(folder, name) for name in NAMES]
    return [path for path in beside if os.path.exists(path)] + list(NAMES)


@functools.lru_cache(maxsize=None)
def load():
    """The library, loaded when it is first asked for. A failure is not kept."""
    reasons = []
    for path in candidates():
        try:
            found = ctypes.CDLL(path)
            for name, (result, arguments) in CALLS.items():
                call = getattr(found, name)
                call.restype, call.argtypes = result, arguments
        except (OSError, AttributeError) as error:
            reasons.append(str(error))
            continue
        return found
    raise ImportError(f"no libmemkv ({'; '.join(reasons)}): install it, put it beside "
                      f"{os.path.dirname(os.path.abspath(__file__))}, or name it by {VARIABLE}")
