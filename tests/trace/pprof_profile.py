"""pprof's profile.proto as a class of the protobuf library: https://github.com/google/pprof/blob/main/proto/profile.proto."""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

STRING, INT, UINT, BOOL, MESSAGE = 9, 3, 4, 8, 11
# Name, number, type; a message's type is its name, and `*` repeats.
MESSAGES: dict[str, list[tuple[str, int, int | str]]] = {
    "ValueType": [("type", 1, INT), ("unit", 2, INT)],
    "Label": [("key", 1, INT), ("str", 2, INT), ("num", 3, INT), ("num_unit", 4, INT)],
    "Sample": [("location_id*", 1, UINT), ("value*", 2, INT), ("label*", 3, "Label")],
    "Line": [("function_id", 1, UINT), ("line", 2, INT), ("column", 3, INT)],
    "Location": [("id", 1, UINT), ("mapping_id", 2, UINT), ("address", 3, UINT), ("line*", 4, "Line"), ("is_folded", 5, BOOL)],
    "Function": [("id", 1, UINT), ("name", 2, INT), ("system_name", 3, INT), ("filename", 4, INT), ("start_line", 5, INT)],
    "Profile": [
        ("sample_type*", 1, "ValueType"), ("sample*", 2, "Sample"), ("location*", 4, "Location"), ("function*", 5, "Function"),
        ("string_table*", 6, STRING), ("drop_frames", 7, INT), ("keep_frames", 8, INT), ("time_nanos", 9, INT),
        ("duration_nanos", 10, INT), ("period_type", 11, "ValueType"), ("period", 12, INT), ("comment*", 13, INT),
        ("default_sample_type", 14, INT), ("doc_url", 15, INT),
    ],
}  # fmt: skip


def profile() -> Any:
    """The class `Profile`."""
    file = descriptor_pb2.FileDescriptorProto(
        name="profile.proto", package="perftools.profiles", syntax="proto3"
    )
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for word, number, kind in fields:
            field = message.field.add(
                name=word.rstrip("*"), number=number, label=3 if word.endswith("*") else 1
            )
            if isinstance(kind, str):
                field.type, field.type_name = MESSAGE, f".perftools.profiles.{kind}"
            else:
                field.type = kind
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("perftools.profiles.Profile"))
