// Models in files: TorchScript modules and AOTInductor packages, both as a function from named
// input tensors to named output tensors; what an archive holds; input tensors over memory of the
// caller.

#include <ATen/Context.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/_lazy_clone.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/scalar_tensor.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/InferenceMode.h>
#include <caffe2/serialize/inline_container.h>
#include <torch/csrc/inductor/aoti_package/model_package_loader.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/csrc/jit/serialization/import.h>

#include "cuda.hpp"
#include "guard.hpp"

#include <dlfcn.h>
#include <link.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <streambuf>
#include <string>
#include <system_error>
#include <unordered_set>
#include <utility>
#include <vector>

namespace {

using shim::guarded;

struct Input {
    std::string name;
    bool required;
};

struct Outputs {
    std::vector<std::pair<std::string, at::Tensor>> list;
};

c10::Device device_of(int index) {
    if (index < 0)
        return c10::Device(c10::DeviceType::CPU);
    return c10::Device(c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(index));
}

} // namespace

// A model on one device. Several threads may run it at once.
struct toolpool_shim_model {
    virtual ~toolpool_shim_model() = default;
    virtual const std::vector<Input> &inputs() const = 0;
    // Bytes of its device's memory that it holds.
    virtual size_t bytes() const = 0;
    // What names inputs and outputs, where these have no names of their own.
    virtual std::string spec() const { return {}; }
    // `given` has an entry for each input; only those that are not required may be undefined.
    virtual void run(std::vector<at::Tensor> given, Outputs &outputs) const = 0;
};

namespace {

// Bytes of the memory on `device` that `tensors` lie in: what several lie in counts once.
size_t bytes_of(const std::vector<at::Tensor> &tensors, c10::Device device) {
    std::unordered_set<const c10::StorageImpl *> seen;
    size_t bytes = 0;
    for (const at::Tensor &tensor : tensors) {
        if (!tensor.has_storage() || tensor.device().type() != device.type())
            continue;
        if (seen.insert(tensor.storage().unsafeGetStorageImpl()).second)
            bytes += tensor.storage().nbytes();
    }
    return bytes;
}

// ---- TorchScript ----

std::string joined(const std::string &path, const std::string &key) {
    return path.empty() ? key : path + "." + key;
}

std::string named(const std::string &path) { return path.empty() ? "output" : path; }

// Names the tensors in `value`: positions in tuples and lists, keys of dicts, fields of named
// tuples, joined by dots.
void flatten(const c10::IValue &value, const std::string &path, Outputs &outputs) {
    const auto add = [&](at::Tensor tensor) {
        outputs.list.emplace_back(named(path), std::move(tensor));
    };
    if (value.isTensor()) {
        if (value.toTensor().defined())
            add(value.toTensor());
    } else if (value.isTuple()) {
        const auto &elements = value.toTupleRef().elements();
        const auto type = value.type()->expect<c10::TupleType>();
        for (size_t i = 0; i < elements.size(); ++i) {
            const std::string key =
                type->schema() ? type->schema()->arguments()[i].name() : std::to_string(i);
            flatten(elements[i], joined(path, key), outputs);
        }
    } else if (value.isTensorList() || value.isList()) {
        const auto list = value.toListRef();
        for (size_t i = 0; i < list.size(); ++i)
            flatten(list[i], joined(path, std::to_string(i)), outputs);
    } else if (value.isGenericDict()) {
        for (const auto &entry : value.toGenericDict()) {
            TORCH_CHECK(entry.key().isString(), "the output '", named(path),
                        "' is a dict whose keys are no strings, so its tensors have no names");
            flatten(entry.value(), joined(path, entry.key().toStringRef()), outputs);
        }
    } else if (value.isScalar()) {
        add(at::scalar_tensor(value.toScalar(), value.isInt()    ? at::kLong
                                                : value.isBool() ? at::kBool
                                                                 : at::kDouble));
    } else {
        TORCH_CHECK(
            value.isNone(), "the output '", named(path), "' is a ", value.tagKind(),
            ", and only tensors, numbers, and tuples, lists and dicts of them can be given back");
    }
}

std::vector<at::Tensor> weights_of(const torch::jit::Module &module) {
    std::vector<at::Tensor> weights;
    for (const at::Tensor parameter : module.parameters())
        weights.push_back(parameter);
    for (const at::Tensor buffer : module.buffers())
        weights.push_back(buffer);
    return weights;
}

// As Module::to(type), which would cast whole numbers as well: indices, of which half precision
// holds few.
void cast(const torch::jit::Module &module, at::ScalarType type) {
    for (const at::Tensor &weight : weights_of(module))
        if (weight.is_floating_point())
            weight.set_data(weight.to(type));
}

struct Script final : toolpool_shim_model {
    Script(const std::string &path, c10::Device device, std::optional<at::ScalarType> type)
        : device_(device), module_(torch::jit::load(path, device)) {
        module_.eval();
        if (type)
            cast(module_, *type);
        const auto &arguments = module_.get_method("forward").function().getSchema().arguments();
        for (size_t i = 1; i < arguments.size(); ++i) { // The first is self.
            inputs_.push_back({arguments[i].name(), !arguments[i].default_value().has_value()});
            defaults_.push_back(arguments[i].default_value().value_or(c10::IValue()));
        }
    }

    const std::vector<Input> &inputs() const override { return inputs_; }

    size_t bytes() const override { return bytes_of(weights_of(module_), device_); }

    void run(std::vector<at::Tensor> given, Outputs &outputs) const override {
        std::vector<c10::IValue> stack;
        stack.reserve(given.size());
        for (size_t i = 0; i < given.size(); ++i)
            stack.push_back(given[i].defined() ? c10::IValue(std::move(given[i])) : defaults_[i]);
        flatten(module_.get_method("forward")(std::move(stack)), "", outputs);
    }

    c10::Device device_;
    torch::jit::Module module_;
    std::vector<Input> inputs_;
    std::vector<c10::IValue> defaults_;
};

// ---- AOTInductor ----

// libtorch unpacks a package into a new folder in /tmp, and removes that with the loader. The first
// such folder that `text` has the path of a file in; empty if there is none.
std::string unpacked_in(const std::string &text) {
    const std::string parent = "/tmp/", inside = "/data/aotinductor/model/";
    const size_t start = text.find(parent), end = start + parent.size() + 6;
    if (start == std::string::npos || end >= text.size() || text[end] != '/')
        return {};
    const size_t name_end = text.find('/', end + 1);
    if (name_end == std::string::npos || text.compare(name_end, inside.size(), inside) != 0)
        return {};
    return text.substr(start, end - start);
}

using Folders = std::set<std::string>;

// The folders of all packages whose libraries are loaded, by whomever in this process.
Folders unpacked_now() {
    Folders folders;
    const auto look = [](dl_phdr_info *library, size_t, void *found) {
        if (std::string folder = unpacked_in(library->dlpi_name); !folder.empty())
            static_cast<Folders *>(found)->insert(std::move(folder));
        return 0;
    };
    dl_iterate_phdr(look, &folders);
    return folders;
}

// The one folder that is in `now` and was not `before`; empty if it is not known which.
std::string the_new_one(const Folders &before, const Folders &now) {
    Folders made;
    std::set_difference(now.begin(), now.end(), before.begin(), before.end(),
                        std::inserter(made, made.end()));
    return made.size() == 1 ? *made.begin() : std::string();
}

// AOTInductor writes the reason of a failure to std::cerr, and throws that there was one: when its
// library is gone again, so what is loaded is noted at the first of its words.
struct Reason {
    void append(const char *data, size_t size) {
        if (text.empty())
            unpacked = unpacked_now();
        text.append(data, size);
    }
    std::string text;
    Folders unpacked;
};

// Stands before std::cerr's buffer, and keeps what the thread writes that is inside Caught; all
// else goes through.
class CerrOfThisThread : public std::streambuf {
  public:
    static void install() {
        static CerrOfThisThread *installed = new CerrOfThisThread;
        (void)installed;
    }

    static Reason *&caught() {
        thread_local Reason *reason = nullptr;
        return reason;
    }

  private:
    CerrOfThisThread() : before_(std::cerr.rdbuf(this)) {}

    int overflow(int character) override {
        if (character == traits_type::eof())
            return 0;
        const char letter = static_cast<char>(character);
        if (Reason *reason = caught())
            reason->append(&letter, 1);
        else
            return before_->sputc(letter);
        return character;
    }
    std::streamsize xsputn(const char *data, std::streamsize size) override {
        if (Reason *reason = caught())
            reason->append(data, static_cast<size_t>(size));
        else
            return before_->sputn(data, size);
        return size;
    }
    int sync() override { return caught() ? 0 : before_->pubsync(); }

    std::streambuf *before_;
};

struct Caught {
    Caught() {
        CerrOfThisThread::install();
        CerrOfThisThread::caught() = &reason;
    }
    ~Caught() { CerrOfThisThread::caught() = nullptr; }
    Reason reason;
};

// Runs `body`; an exception gets what was written to std::cerr as its text, if anything was.
template <class Body> auto explained(Body body) {
    Caught caught;
    try {
        return body();
    } catch (const c10::OutOfMemoryError &) {
        throw;
    } catch (const std::exception &) {
        const std::string &text = caught.reason.text, mark = "Error: ";
        if (text.empty())
            throw;
        const bool marked = text.compare(0, mark.size(), mark) == 0;
        throw std::runtime_error(marked ? text.substr(mark.size()) : text);
    }
}

// libtorch reads the metadata of packages into one object for the whole process (load_json_file in
// model_package_loader.cpp), so one thread at a time may do that or load a package.
std::mutex packages;

// The library in a package asks for libtorch.so by its name alone, and finds it if it is loaded. A
// program needs not have it, since it is but a shell around the parts for CPU and CUDA; it lies
// beside them.
void load_libtorch() {
    Dl_info part;
    const auto *inside = reinterpret_cast<const void *>(
        &torch::inductor::AOTIModelPackageLoader::load_metadata_from_package);
    TORCH_CHECK(dladdr(inside, &part) != 0, "it is not known which file libtorch is in");
    const std::string file = part.dli_fname;
    const std::string shell = file.substr(0, file.rfind('/') + 1) + "libtorch.so";
    TORCH_CHECK(dlopen(shell.c_str(), RTLD_NOW | RTLD_LOCAL) != nullptr,
                "packages need the whole of libtorch, which cannot be loaded: ", dlerror(),
                "; install torch with all that it depends on: pip install torch==2.11.0");
}

void remove_unpacked(const std::string &folder) {
    std::error_code stays;
    if (!folder.empty())
        std::filesystem::remove_all(folder, stays);
}

// The folders of packages that may still be read: a CUDA kernel is loaded from its file when it
// first runs. What is left when the process exits with such models open goes then; not for a child
// by fork().
class Readable {
  public:
    ~Readable() {
        if (getpid() == owner_)
            std::for_each(folders_.begin(), folders_.end(), remove_unpacked);
    }
    void add(const std::string &folder) {
        const std::lock_guard<std::mutex> alone(lock_);
        folders_.insert(folder);
    }
    void forget(const std::string &folder) {
        const std::lock_guard<std::mutex> alone(lock_);
        folders_.erase(folder);
    }

  private:
    const pid_t owner_ = getpid();
    std::mutex lock_;
    Folders folders_;
} readable;

// Bytes in use on a CUDA device, without what libtorch's own allocator has there: that changes with
// every batch of another slot, and packages do not take from it. 0 for the CPU.
int64_t bytes_beside_allocator(c10::Device device) {
    if (device.is_cpu())
        return 0;
    at::globalContext().lazyInitDevice(device.type());
    c10::DeviceAllocator *allocator = c10::getDeviceAllocator(device.type());
    const auto [free, total] = allocator->getMemoryInfo(device.index()); // Makes the context, too.
    const auto aggregate = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
    const auto reserved = allocator->getDeviceStats(device.index()).reserved_bytes[aggregate];
    return static_cast<int64_t>(total - free) - reserved.current;
}

using Loader = torch::inductor::AOTIModelPackageLoader;

// Frees a package, unless its device is lost: that throws in a destructor, which would end the
// process.
struct Free {
    void operator()(Loader *loader) const {
        if (!device.is_cpu() && shim::trouble(device))
            return;
        delete loader;
        readable.forget(folder);
    }
    c10::Device device;
    std::string folder;
};

struct Unpacked {
    std::unique_ptr<Loader, Free> loader;
    // By how much the load made the device's memory less.
    int64_t taken;
};

// A package takes its memory from CUDA itself, so what libtorch's allocator keeps for later is
// given back first.
void empty_cache(c10::Device device) {
    if (device.is_cpu())
        return;
    at::globalContext().lazyInitDevice(device.type());
    try {
        c10::getDeviceAllocator(device.type())->emptyCache();
    } catch (const c10::Error &) { // It goes through all devices; one of them is lost.
    }
}

// Inside Caught.
Unpacked unpack(const std::string &path, c10::Device device) {
    const std::lock_guard<std::mutex> alone(packages);
    load_libtorch();
    empty_cache(device);
    const Folders there = unpacked_now();
    try {
        const int64_t before = bytes_beside_allocator(device);
        // One run at a time on the CPU; on CUDA a batch may be queued behind another.
        const size_t runners = device.is_cpu() ? 1 : 2;
        std::unique_ptr<Loader, Free> loader(
            new Loader(path, "model", /*run_single_threaded=*/false, runners, device.index()),
            Free{device, {}});
        const std::string folder = the_new_one(there, unpacked_now());
        if (device.is_cpu()) { // What it needs of its files, it has mapped.
            remove_unpacked(folder);
        } else {
            loader.get_deleter().folder = folder;
            readable.add(folder);
        }
        const int64_t taken = bytes_beside_allocator(device) - before;
        return {std::move(loader), taken};
    } catch (const std::exception &error) {
        remove_unpacked(unpacked_in(error.what()));
        remove_unpacked(the_new_one(there, CerrOfThisThread::caught()->unpacked));
        throw;
    }
}

struct Package final : toolpool_shim_model {
    Package(const std::string &path, c10::Device device)
        : device_(device), unpacked_(explained([&] { return unpack(path, device); })) {
        const auto spec = unpacked_.loader->get_call_spec();
        TORCH_CHECK(spec.size() == 2, "the package does not say what its inputs and outputs are");
        spec_ = spec[0] + "\n" + spec[1];
    }

    const std::vector<Input> &inputs() const override { return inputs_; }

    // What the load took; its constants at the least, where others gave memory back meanwhile.
    size_t bytes() const override {
        std::vector<at::Tensor> constants;
        for (const auto &[name, constant] :
             unpacked_.loader->get_runner()->extract_constants_map(/*use_inactive=*/false))
            constants.push_back(constant);
        const auto taken = static_cast<size_t>(std::max<int64_t>(unpacked_.taken, 0));
        return std::max(bytes_of(constants, device_), taken);
    }

    std::string spec() const override { return spec_; }

    void run(std::vector<at::Tensor> given, Outputs &outputs) const override {
        auto results = explained([&] { return unpacked_.loader->boxed_run(std::move(given)); });
        for (size_t i = 0; i < results.size(); ++i)
            outputs.list.emplace_back(std::string(), std::move(results[i]));
    }

    c10::Device device_;
    Unpacked unpacked_;
    std::vector<Input> inputs_;
    std::string spec_;
};

} // namespace

extern "C" {

// ---- Archives ----

// Calls `entry` with the name of every file in the zip at `path`, without the folder that they all
// lie in.
int toolpool_shim_archive(const char *path, void (*entry)(void *user, const char *name), void *user,
                          char *message) {
    return guarded(message, [&] {
        caffe2::serialize::PyTorchStreamReader reader{std::string(path)};
        for (const std::string &name : reader.getAllRecords())
            entry(user, name.c_str());
    });
}

// Calls `entry` with the bytes of one file in the zip, named as toolpool_shim_archive() names it.
int toolpool_shim_archive_file(const char *path, const char *name,
                               void (*entry)(void *user, const void *data, size_t bytes),
                               void *user, char *message) {
    return guarded(message, [&] {
        caffe2::serialize::PyTorchStreamReader reader{std::string(path)};
        const auto [data, bytes] = reader.getRecord(name);
        entry(user, data.get(), bytes);
    });
}

// Calls `entry` with every key and value of a package's metadata.
int toolpool_shim_package_metadata(const char *path,
                                   void (*entry)(void *user, const char *key, const char *value),
                                   void *user, char *message) {
    return guarded(message, [&] {
        using torch::inductor::AOTIModelPackageLoader;
        const std::lock_guard<std::mutex> alone(packages);
        for (const auto &[key, value] :
             AOTIModelPackageLoader::load_metadata_from_package(path, "model"))
            entry(user, key.c_str(), value.c_str());
    });
}

// ---- Models ----

// A TorchScript module on the CPU (`device` < 0) or a CUDA device; its floating-point weights as
// `type` if that is not negative.
int toolpool_shim_script_load(const char *path, int device, int type, toolpool_shim_model **out,
                              char *message) {
    return guarded(message, [&] {
        std::optional<at::ScalarType> as;
        if (type >= 0)
            as = static_cast<at::ScalarType>(type);
        *out = new Script(path, device_of(device), as);
    });
}

// An AOTInductor package on the device that it was compiled for.
int toolpool_shim_package_load(const char *path, int device, toolpool_shim_model **out,
                               char *message) {
    return guarded(message, [&] { *out = new Package(path, device_of(device)); });
}

void toolpool_shim_model_free(toolpool_shim_model *model) { delete model; }

// Bytes of its device's memory that a model holds.
int toolpool_shim_model_bytes(const toolpool_shim_model *model, uint64_t *bytes, char *message) {
    return guarded(message, [&] { *bytes = model->bytes(); });
}

// Calls `entry` with every input of a model.
int toolpool_shim_model_inputs(const toolpool_shim_model *model,
                               void (*entry)(void *user, const char *name, bool required),
                               void *user, char *message) {
    return guarded(message, [&] {
        for (const Input &input : model->inputs())
            entry(user, input.name.c_str(), input.required);
    });
}

// Calls `entry` with a package's call specification: two lines of JSON, of its inputs and of its
// outputs; empty for a module.
int toolpool_shim_model_spec(const toolpool_shim_model *model,
                             void (*entry)(void *user, const char *spec), void *user,
                             char *message) {
    return guarded(message, [&] { entry(user, model->spec().c_str()); });
}

// Runs a model on `n` tensors, NULL for an input that is left out, and calls `entry` with each
// output, which then belongs to the callee; its name is empty where the call specification names
// it.
int toolpool_shim_model_run(const toolpool_shim_model *model, const at::Tensor *const *inputs,
                            size_t n,
                            void (*entry)(void *user, const char *name, at::Tensor *output),
                            void *user, char *message) {
    return guarded(message, [&] {
        const c10::InferenceMode inference;
        std::vector<at::Tensor> given(n);
        for (size_t i = 0; i < n; ++i)
            if (inputs[i])
                given[i] = *inputs[i];
        Outputs outputs;
        model->run(std::move(given), outputs);
        for (const auto &[name, tensor] : outputs.list)
            entry(user, name.c_str(), new at::Tensor(tensor));
    });
}

// ---- Inputs ----

// A tensor over memory of the caller, which must stay while the tensor or a share of it lives.
int toolpool_shim_borrow(const void *data, size_t bytes, const int64_t *sizes, size_t n, int type,
                         at::Tensor **out, char *message) {
    return guarded(message, [&] {
        void *address = const_cast<void *>(data); // Read only: see toolpool_shim_protect().
        c10::DataPtr pointer(address, address, [](void *) {}, c10::Device(c10::DeviceType::CPU));
        c10::Storage storage(c10::Storage::use_byte_size_t(), bytes, std::move(pointer),
                             c10::GetAllocator(c10::DeviceType::CPU), /*resizable=*/false);
        auto tensor = at::detail::make_tensor<c10::TensorImpl>(
            std::move(storage), c10::DispatchKeySet(c10::DispatchKey::CPU),
            c10::scalarTypeToTypeMeta(static_cast<at::ScalarType>(type)));
        tensor.unsafeGetTensorImpl()->set_sizes_contiguous(c10::IntArrayRef(sizes, n));
        *out = new at::Tensor(std::move(tensor));
    });
}

// A share of `tensor` that is copied when something writes to it, as long as `tensor` lives.
int toolpool_shim_protect(const at::Tensor *tensor, at::Tensor **out, char *message) {
    return guarded(message, [&] { *out = new at::Tensor(at::_lazy_clone(*tensor)); });
}

// Memory of the host for an input of the model, pinned for copies to CUDA if wished; not
// initialised.
int toolpool_shim_staging(const int64_t *sizes, size_t n, int type, bool pinned, at::Tensor **out,
                          char *message) {
    return guarded(message, [&] {
        const c10::IntArrayRef shape(sizes, n);
        const auto as = static_cast<at::ScalarType>(type);
        *out = new at::Tensor(pinned ? shim::pinned(shape, as) : at::empty(shape, as));
    });
}

} // extern "C"
