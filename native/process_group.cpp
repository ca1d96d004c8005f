// Joining a c10d process group over Gloo and NCCL.
#include "process_group.h"

#include <cstdlib>

#include <c10/util/Exception.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <torch/version.h>
#ifdef USE_C10D_GLOO
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#endif
#ifdef USE_C10D_NCCL
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif

namespace dualvla {
namespace {

template <typename Backend>
class Joined : public ProcessGroup {
 public:
  Joined(c10::intrusive_ptr<Backend> backend, bool low_precision) : backend_(std::move(backend)), low_(low_precision) {}

  WorkPointer allReduce(at::Tensor tensor, c10d::ReduceOp::RedOpType op) override {
    std::vector<at::Tensor> tensors{std::move(tensor)};
    c10d::AllreduceOptions options;
    options.reduceOp = op;
    return backend_->allreduce(tensors, options);
  }
  WorkPointer broadcast(at::Tensor tensor, int root) override {
    std::vector<at::Tensor> tensors{std::move(tensor)};
    c10d::BroadcastOptions options;
    options.rootRank = root;
    return backend_->broadcast(tensors, options);
  }
  WorkPointer allGather(std::vector<at::Tensor> outputs, at::Tensor input) override {
    std::vector<std::vector<at::Tensor>> lists{std::move(outputs)};
    std::vector<at::Tensor> inputs{std::move(input)};
    return backend_->allgather(lists, inputs);
  }
  WorkPointer barrier() override { return backend_->barrier(); }
  bool reducesLowPrecision(const at::Tensor&) const override { return low_; }

 private:
  c10::intrusive_ptr<Backend> backend_;
  bool low_;
};

// Tensors of a GPU go over NCCL, all others over Gloo. Either may be missing.
class ByDevice : public ProcessGroup {
 public:
  ByDevice(std::shared_ptr<ProcessGroup> gloo, std::shared_ptr<ProcessGroup> nccl)
      : gloo_(std::move(gloo)), nccl_(std::move(nccl)) {}

  WorkPointer allReduce(at::Tensor tensor, c10d::ReduceOp::RedOpType op) override {
    ProcessGroup& group = of(tensor);
    return group.allReduce(std::move(tensor), op);
  }
  WorkPointer broadcast(at::Tensor tensor, int root) override {
    ProcessGroup& group = of(tensor);
    return group.broadcast(std::move(tensor), root);
  }
  WorkPointer allGather(std::vector<at::Tensor> outputs, at::Tensor input) override {
    ProcessGroup& group = of(input);
    return group.allGather(std::move(outputs), std::move(input));
  }
  WorkPointer barrier() override { return (gloo_ != nullptr ? gloo_ : nccl_)->barrier(); }
  bool reducesLowPrecision(const at::Tensor& tensor) const override { return of(tensor).reducesLowPrecision(tensor); }

 private:
  ProcessGroup& of(const at::Tensor& tensor) const {
    const bool gpu = tensor.is_cuda();
    ProcessGroup* group = (gpu ? nccl_ : gloo_).get();
    TORCH_CHECK(group != nullptr, "the tensor is on ", tensor.device(), " and the engine was built without ",
                gpu ? "NCCL" : "Gloo", gpu ? "; init({ backend: 'gloo' }) sends it through the CPU's memory" : "");
    return *group;
  }

  std::shared_ptr<ProcessGroup> gloo_;
  std::shared_ptr<ProcessGroup> nccl_;
};

bool isLoopback(const std::string& address) {
  return address == "localhost" || address == "::1" || address.rfind("127.", 0) == 0;
}

#ifdef USE_C10D_GLOO
std::shared_ptr<ProcessGroup> joinGloo(const GroupOptions& options, const c10::intrusive_ptr<c10d::Store>& store) {
  auto gloo = c10d::ProcessGroupGloo::Options::create(options.timeout);
  // All processes are on this machine if the first one is reached over loopback; its host name may not resolve.
  const char* interface = std::getenv("GLOO_SOCKET_IFNAME");
  if (interface != nullptr && interface[0] != '\0') {
    gloo->devices.push_back(c10d::ProcessGroupGloo::createDeviceForInterface(interface));
  } else if (isLoopback(options.address)) {
    gloo->devices.push_back(c10d::ProcessGroupGloo::createDeviceForHostname("127.0.0.1"));
  } else {
    gloo->devices.push_back(c10d::ProcessGroupGloo::createDefaultDevice());
  }
  using Backend = c10d::ProcessGroupGloo;
  return std::make_shared<Joined<Backend>>(
      c10::make_intrusive<Backend>(store, options.rank, options.size, std::move(gloo)), false);
}
#endif

// Newer stores take libuv by default and fail where the engine was built without it (Debian's); older ones have no such choice.
template <class Options>
auto withoutLibuv(Options& options, int) -> decltype(static_cast<void>(options.useLibUV)) {
  options.useLibUV = false;
}
template <class Options>
void withoutLibuv(Options&, long) {}

#ifdef USE_C10D_NCCL
std::shared_ptr<ProcessGroup> joinNccl(const GroupOptions& options, const c10::intrusive_ptr<c10d::Store>& store) {
  using Backend = c10d::ProcessGroupNCCL;
  // Waiting blocks: then a lost peer is an exception after the timeout, where a watchdog would end the process.
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 2)
  setenv("TORCH_NCCL_BLOCKING_WAIT", "1", 0);
#else
  setenv("NCCL_BLOCKING_WAIT", "1", 0);
#endif
  auto nccl = Backend::Options::create();
  nccl->timeout = options.timeout;
  return std::make_shared<Joined<Backend>>(
      c10::make_intrusive<Backend>(store, options.rank, options.size, std::move(nccl)), true);
}
#endif

}  // namespace

std::vector<std::string> groupBackends() {
  return {
#ifdef USE_C10D_GLOO
      "gloo",
#endif
#ifdef USE_C10D_NCCL
      "nccl",
#endif
  };
}

std::shared_ptr<ProcessGroup> joinGroup(const GroupOptions& options) {
  c10d::TCPStoreOptions tcp;
  tcp.port = options.port;
  tcp.isServer = options.serves_store;
  tcp.waitWorkers = false;
  tcp.timeout = options.timeout;
  withoutLibuv(tcp, 0);
  c10::intrusive_ptr<c10d::Store> store = c10::make_intrusive<c10d::TCPStore>(options.address, tcp);
  if (!options.prefix.empty()) store = c10::make_intrusive<c10d::PrefixStore>(options.prefix, store);

  std::shared_ptr<ProcessGroup> gloo;
  std::shared_ptr<ProcessGroup> nccl;
#ifdef USE_C10D_NCCL
  if (options.backend == "nccl") nccl = joinNccl(options, c10::make_intrusive<c10d::PrefixStore>("nccl", store));
#endif
#ifdef USE_C10D_GLOO
  if (options.backend == "gloo" || nccl != nullptr) {
    gloo = joinGloo(options, c10::make_intrusive<c10d::PrefixStore>("gloo", store));
  }
#endif
  TORCH_CHECK((options.backend == "nccl" ? nccl : gloo) != nullptr, "this build has no process group over ", options.backend);
  std::shared_ptr<ProcessGroup> group = options.stages ? gloo : std::make_shared<ByDevice>(gloo, nccl);
  group->rank = options.rank;
  group->size = options.size;
  return group;
}

}  // namespace dualvla
