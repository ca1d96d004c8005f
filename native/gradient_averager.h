// Averages the gradients of data-parallel processes in buckets while backward still runs (Li et al. 2020, PyTorch
// Distributed, section 4.2). A hook behind each parameter's gradient accumulation copies the gradient into its bucket; a
// full bucket is reduced at once, in the background, in the same order on all processes.
// Knows nothing about the model or the optimizer.
#pragma once

#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/variable.h>

#include "process_group.h"

namespace dualvla {

class GradientAverager {
 public:
  // Buckets hold parameters of one type and device, up to `bucket_bytes` each (the first one up to `first_bucket_bytes`,
  // so that the first reduction starts early): in reverse order at first, after the first step in the order in which the
  // gradients came on rank 0.
  GradientAverager(std::shared_ptr<ProcessGroup> group, std::vector<at::Tensor> parameters,
                   std::size_t first_bucket_bytes, std::size_t bucket_bytes);
  ~GradientAverager();
  GradientAverager(const GradientAverager&) = delete;
  GradientAverager& operator=(const GradientAverager&) = delete;

  // While off, backward only accumulates locally.
  void setEnabled(bool enabled);
  // After backward: reduces what is left, waits, and puts the averages in the place of the gradients. A parameter that
  // got no gradient on any process keeps none. Throws if a peer failed.
  void finish();
  std::size_t bucketCount() const { return buckets_.size(); }
  // How many buckets of the last step started to be reduced before backward ended.
  std::size_t overlapped() const { return overlapped_; }

 private:
  struct Bucket {
    at::Tensor flat;                // the gradients, then one flag a parameter: 1 where this process has a gradient
    std::vector<std::size_t> members;
    std::vector<at::Tensor> views;  // of `flat`, one a member, in its shape
    std::size_t pending = 0;
    WorkPointer work;
  };

  void makeBuckets(const std::vector<std::size_t>& order);
  void addBucket(const std::vector<std::size_t>& members);
  void orderByArrival();
  void onGradient(std::size_t parameter);
  void launchReady(bool all);
  void fill(Bucket& bucket, std::size_t position);
  void reset();

  std::shared_ptr<ProcessGroup> group_;
  std::vector<at::Tensor> parameters_;
  // A std::shared_ptr, from libtorch 2.14 on a c10::intrusive_ptr.
  using NodePointer = decltype(torch::autograd::impl::grad_accumulator(std::declval<const at::Tensor&>()));
  std::vector<NodePointer> accumulators_;
  std::vector<std::uintptr_t> hooks_;
  std::vector<Bucket> buckets_;
  std::vector<std::pair<std::size_t, std::size_t>> place_;  // parameter -> bucket, position in it
  std::vector<bool> arrived_;
  std::vector<std::int64_t> arrivals_;  // parameters in the order of the first step's gradients
  std::size_t first_bucket_bytes_;
  std::size_t bucket_bytes_;
  bool ordered_ = false;
  std::size_t next_ = 0;  // first bucket that is not being reduced
  std::size_t overlapped_ = 0;
  bool enabled_ = true;
  std::mutex mutex_;  // with CUDA, hooks run on autograd's device thread
};

}  // namespace dualvla
