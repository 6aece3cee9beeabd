# What there is to work on.

"""
A device: `kind` is `:cuda` or `:cpu`, `index` its number among those of its kind, `slot` the number of the pool's
slot, from 0 (-1 in a listing), `threads` what a worker there may compute with, memory in bytes (0 where unknown).
"""
struct Device
    kind::Symbol
    index::Int
    slot::Int
    threads::Int
    memory_total::Int
    memory_free::Int
    name::String
    uuid::String
end

Base.show(io::IO, device::Device) =
    print(io, device.kind == :cpu ? "cpu" : "cuda:$(device.index)", " (", device.name, ")")

"""
    devices([which])

The devices that a pool opened with `which` would work on, one for each slot; without it every visible GPU, and the
CPU.
"""
devices() = listed((out, err) -> toolpool_devices_list(C_NULL, out, err))
devices(which) = listed((out, err) -> toolpool_devices_list(device_text(which), out, err))

# What a user writes as the devices of a pool, in the library's words: a number in a list is that of a GPU.
device_text(which) = string(which)
device_text(list::Union{AbstractVector, Tuple}) = join(map(one -> one isa Integer ? "cuda:$one" : string(one), list), ",")

function listed(list)
    handle = made(list)
    try
        [device_at(handle, index) for index in 0:Int(toolpool_devices_len(handle))-1]
    finally
        toolpool_devices_free(handle)
    end
end

function device_at(handle, index)
    device = blank(toolpool_device_t)
    check(err -> toolpool_devices_get(handle, index, device, err))
    Device(device[])
end

Device(device::toolpool_device_t) = Device(
    device.kind == TOOLPOOL_DEVICE_CUDA ? :cuda : :cpu,
    device.index,
    device.slot,
    device.threads,
    device.memory_total,
    device.memory_free,
    fixed_text(device.name),
    fixed_text(device.uuid),
)

fixed_text(bytes) = String(collect(Iterators.takewhile(!iszero, bytes)))
