# Arrays and tensors. What the library has row-major, outermost first, Julia has with its dimensions reversed.

const DTYPES = Dict{DataType, Int32}(
    Float32 => TOOLPOOL_FLOAT32,
    Float64 => TOOLPOOL_FLOAT64,
    Float16 => TOOLPOOL_FLOAT16,
    Int8 => TOOLPOOL_INT8,
    UInt8 => TOOLPOOL_UINT8,
    Int16 => TOOLPOOL_INT16,
    Int32 => TOOLPOOL_INT32,
    Int64 => TOOLPOOL_INT64,
    Bool => TOOLPOOL_BOOL,
)

const ELTYPES = Dict{Int32, DataType}(code => type for (type, code) in DTYPES)
ELTYPES[TOOLPOOL_BYTES] = UInt8

function dtype_of(::Type{T}) where {T}
    get(DTYPES, T) do
        types = join(sort!(string.(keys(DTYPES))), ", ")
        throw(ArgumentError("there are no tensors of $T; convert to one of $types"))
    end
end

dimensions(tensor::toolpool_tensor_t) = Tuple(Int(tensor.shape[i]) for i in tensor.ndim:-1:1)

# The array of a tensor, in the library's memory.
function wrap(tensor::toolpool_tensor_t)
    tensor.dtype == TOOLPOOL_BFLOAT16 && return widen_bfloat16(wrap_as(UInt16, tensor))
    wrap_as(ELTYPES[tensor.dtype], tensor)
end

# What is empty has no address to speak of.
function wrap_as(::Type{T}, tensor) where {T}
    dims = dimensions(tensor)
    tensor.bytes == 0 ? Array{T}(undef, dims) : unsafe_wrap(Array, Ptr{T}(tensor.data), dims)
end

# Julia has no bfloat16: the upper half of a Float32, in an array of its own.
widen_bfloat16(halves) = reinterpret(Float32, UInt32.(halves) .<< 16) |> collect

# The description of dense memory of Julia.
function describe(pointer::Ptr{T}, dims::Dims{N}) where {T, N}
    N <= TOOLPOOL_MAX_NDIM || throw(ArgumentError("a tensor has at most $TOOLPOOL_MAX_NDIM dimensions, not $N"))
    dtype = dtype_of(T)
    shape = ntuple(i -> i <= N ? Int64(dims[N+1-i]) : Int64(0), TOOLPOOL_MAX_NDIM)
    bytes = prod(dims) * sizeof(T)
    toolpool_tensor_t(sizeof(toolpool_tensor_t), pointer, bytes, dtype, N, shape, C_NULL, TOOLPOOL_DEVICE_CPU, 0)
end
