//! Element types: toolpool's codes and libtorch's kinds.

use tch::Kind;
use toolpool_abi::*;

/// Codes, kinds and the names that options know them by.
const TYPES: [(toolpool_dtype_t, Kind, &str); 10] = [
    (TOOLPOOL_FLOAT32, Kind::Float, "float32"),
    (TOOLPOOL_FLOAT64, Kind::Double, "float64"),
    (TOOLPOOL_FLOAT16, Kind::Half, "float16"),
    (TOOLPOOL_BFLOAT16, Kind::BFloat16, "bfloat16"),
    (TOOLPOOL_INT8, Kind::Int8, "int8"),
    (TOOLPOOL_UINT8, Kind::Uint8, "uint8"),
    (TOOLPOOL_INT16, Kind::Int16, "int16"),
    (TOOLPOOL_INT32, Kind::Int, "int32"),
    (TOOLPOOL_INT64, Kind::Int64, "int64"),
    (TOOLPOOL_BOOL, Kind::Bool, "bool"),
];

/// The kind of a code; none for byte strings.
pub fn kind_of(code: toolpool_dtype_t) -> Option<Kind> {
    TYPES
        .iter()
        .find_map(|&(known, kind, _)| (known == code).then_some(kind))
}

/// The code of a kind; none for complex and quantised numbers.
pub fn code_of(kind: Kind) -> Option<toolpool_dtype_t> {
    TYPES
        .iter()
        .find_map(|&(code, known, _)| (known == kind).then_some(code))
}

/// The code of a name.
pub fn code_named(name: &str) -> Option<toolpool_dtype_t> {
    TYPES
        .iter()
        .find_map(|&(code, _, known)| (known == name).then_some(code))
}

/// Whether a kind is of floating point.
pub fn is_floating(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Float | Kind::Double | Kind::Half | Kind::BFloat16
    )
}

/// Whether a kind is of half precision.
pub fn is_half(kind: Kind) -> bool {
    matches!(kind, Kind::Half | Kind::BFloat16)
}
