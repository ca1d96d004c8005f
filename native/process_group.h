// The process group of this process: c10d over NCCL for tensors of a GPU and over Gloo for all others. One a process, shared
// by all JavaScript environments. Knows nothing about models; who starts the processes and sets their ranks is policy above.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>
#include <c10/util/intrusive_ptr.h>
#include <torch/csrc/distributed/c10d/Types.hpp>
#include <torch/csrc/distributed/c10d/Work.hpp>

namespace dualvla {

using WorkPointer = c10::intrusive_ptr<c10d::Work>;

struct GroupOptions {
  std::string backend;  // "gloo", or "nccl": then Gloo as well where this build has it
  bool stages = false;  // Gloo takes tensors of a GPU too, through the CPU's memory
  std::string address;  // of the process that serves the store
  std::uint16_t port = 0;
  int rank = 0;
  int size = 1;
  bool serves_store = false;  // rank 0, unless an agent (torchrun) serves it
  std::string prefix;         // keeps restarts of a run apart in the same store
  std::chrono::milliseconds timeout{0};
};

class ProcessGroup {
 public:
  virtual ~ProcessGroup() = default;
  // Starts an operation; the tensors must stay alive until its work is done.
  virtual WorkPointer allReduce(at::Tensor tensor, c10d::ReduceOp::RedOpType op) = 0;
  virtual WorkPointer broadcast(at::Tensor tensor, int root) = 0;
  virtual WorkPointer allGather(std::vector<at::Tensor> outputs, at::Tensor input) = 0;
  virtual WorkPointer barrier() = 0;

  // Whether sums of bfloat16 and float16 are made in their own type (Gloo has no such sums).
  virtual bool reducesLowPrecision(const at::Tensor& tensor) const = 0;
  int rank = 0;
  int size = 1;
};

// Joins the group: waits until all processes are there. Throws after the timeout.
std::shared_ptr<ProcessGroup> joinGroup(const GroupOptions& options);

// The backends this build has.
std::vector<std::string> groupBackends();

}  // namespace dualvla
