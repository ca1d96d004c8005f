// Bucketed gradient averaging, see the header.
#include "gradient_averager.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

namespace dualvla {
namespace {

class AfterAccumulation : public torch::autograd::FunctionPostHook {
 public:
  explicit AfterAccumulation(std::function<void()> call) : call_(std::move(call)) {}
  torch::autograd::variable_list operator()(const torch::autograd::variable_list& outputs,
                                            const torch::autograd::variable_list&) override {
    call_();
    return outputs;
  }

 private:
  std::function<void()> call_;
};

}  // namespace

GradientAverager::GradientAverager(std::shared_ptr<ProcessGroup> group, std::vector<at::Tensor> parameters,
                                   std::size_t first_bucket_bytes, std::size_t bucket_bytes)
    : group_(std::move(group)),
      parameters_(std::move(parameters)),
      first_bucket_bytes_(first_bucket_bytes),
      bucket_bytes_(bucket_bytes) {
  at::NoGradGuard no_grad;
  place_.resize(parameters_.size());
  arrived_.resize(parameters_.size());
  std::vector<std::size_t> order;
  for (std::size_t i = parameters_.size(); i-- > 0;) {
    const at::Tensor& p = parameters_[i];
    TORCH_CHECK(p.requires_grad() && p.is_leaf(), "parameter ", i, " of the averager needs no gradient or is no leaf");
    order.push_back(i);
  }
  makeBuckets(order);

  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    auto accumulator = torch::autograd::impl::grad_accumulator(parameters_[i]);
    hooks_.push_back(accumulator->add_post_hook(std::make_unique<AfterAccumulation>([this, i] { onGradient(i); })));
    accumulators_.push_back(std::move(accumulator));
  }
}

GradientAverager::~GradientAverager() {
  for (std::size_t i = 0; i < hooks_.size(); ++i) accumulators_[i]->del_post_hook(hooks_[i]);
}

void GradientAverager::makeBuckets(const std::vector<std::size_t>& order) {
  buckets_.clear();
  std::vector<std::size_t> members;
  std::size_t bytes = 0;
  for (const std::size_t i : order) {
    const at::Tensor& p = parameters_[i];
    const bool fits = members.empty() || (p.scalar_type() == parameters_[members[0]].scalar_type() &&
                                          p.device() == parameters_[members[0]].device());
    const std::size_t limit = buckets_.empty() ? first_bucket_bytes_ : bucket_bytes_;
    if (!members.empty() && (!fits || bytes + p.nbytes() > limit)) {
      addBucket(members);
      members.clear();
      bytes = 0;
    }
    members.push_back(i);
    bytes += p.nbytes();
  }
  if (!members.empty()) addBucket(members);
}

// Parameters that are never used come last then, where they hold up no other bucket.
void GradientAverager::orderByArrival() {
  std::vector<bool> listed(parameters_.size());
  for (const std::int64_t i : arrivals_) listed[static_cast<std::size_t>(i)] = true;
  for (std::size_t i = parameters_.size(); i-- > 0;) {
    if (!listed[i]) arrivals_.push_back(static_cast<std::int64_t>(i));
  }
  const auto count = static_cast<std::int64_t>(arrivals_.size());
  at::Tensor order = at::from_blob(arrivals_.data(), {count}, at::TensorOptions().dtype(at::kLong)).clone();
  if (!parameters_.empty()) order = order.to(parameters_[0].device());
  group_->broadcast(order, 0)->wait();
  order = order.to(at::kCPU);
  const std::int64_t* data = order.data_ptr<std::int64_t>();
  makeBuckets({data, data + count});
  ordered_ = true;
}

void GradientAverager::addBucket(const std::vector<std::size_t>& members) {
  Bucket bucket;
  bucket.members = members;
  bucket.pending = members.size();
  const at::Tensor& first = parameters_[members[0]];
  const bool low = first.scalar_type() == at::kBFloat16 || first.scalar_type() == at::kHalf;
  const auto type = low && !group_->reducesLowPrecision(first) ? at::kFloat : first.scalar_type();
  std::int64_t total = static_cast<std::int64_t>(members.size());
  for (std::size_t i : members) total += parameters_[i].numel();
  bucket.flat = at::zeros({total}, first.options().dtype(type).requires_grad(false));
  std::int64_t offset = 0;
  for (std::size_t position = 0; position < members.size(); ++position) {
    const at::Tensor& p = parameters_[members[position]];
    bucket.views.push_back(bucket.flat.narrow(0, offset, p.numel()).view(p.sizes()));
    offset += p.numel();
    place_[members[position]] = {buckets_.size(), position};
  }
  buckets_.push_back(std::move(bucket));
}

void GradientAverager::setEnabled(bool enabled) {
  const std::lock_guard<std::mutex> lock(mutex_);
  enabled_ = enabled;
}

void GradientAverager::onGradient(std::size_t parameter) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!enabled_) return;
  TORCH_CHECK(!arrived_[parameter], "parameter ", parameter,
              " got a second gradient before the first was averaged: average after each backward, or turn averaging off "
              "while gradients accumulate");
  arrived_[parameter] = true;
  if (!ordered_) arrivals_.push_back(static_cast<std::int64_t>(parameter));
  const auto [b, position] = place_[parameter];
  at::NoGradGuard no_grad;
  fill(buckets_[b], position);
  --buckets_[b].pending;
  launchReady(false);
}

// Copies a gradient, already divided by the number of processes, and its flag into the bucket.
void GradientAverager::fill(Bucket& bucket, std::size_t position) {
  const at::Tensor& parameter = parameters_[bucket.members[position]];
  const at::Tensor gradient = parameter.grad();
  at::Tensor& view = bucket.views[position];
  const std::int64_t flag = bucket.flat.numel() - static_cast<std::int64_t>(bucket.members.size() - position);
  if (gradient.defined()) {
    TORCH_CHECK(gradient.layout() == at::kStrided, "gradients that are averaged must be dense");
    const double share = 1.0 / group_->size;
    if (gradient.scalar_type() == view.scalar_type()) {
      at::mul_out(view, gradient, at::Scalar(share));
    } else {
      view.copy_(gradient).mul_(share);
    }
  } else {
    view.zero_();
  }
  bucket.flat.narrow(0, flag, 1).fill_(gradient.defined() ? 1 : 0);
}

void GradientAverager::launchReady(bool all) {
  for (; next_ < buckets_.size() && (all || buckets_[next_].pending == 0); ++next_) {
    Bucket& bucket = buckets_[next_];
    for (std::size_t position = 0; bucket.pending > 0 && position < bucket.members.size(); ++position) {
      if (arrived_[bucket.members[position]]) continue;
      // No gradient in this backward: what accumulated earlier counts, else zeros.
      fill(bucket, position);
      --bucket.pending;
    }
    bucket.work = group_->allReduce(bucket.flat, c10d::ReduceOp::SUM);
  }
}

void GradientAverager::finish() {
  const std::lock_guard<std::mutex> lock(mutex_);
  at::NoGradGuard no_grad;
  overlapped_ = next_;
  try {
    launchReady(true);
    for (Bucket& bucket : buckets_) bucket.work->wait();
  } catch (...) {
    reset();
    throw;
  }
  for (Bucket& bucket : buckets_) {
    const auto count = static_cast<std::int64_t>(bucket.members.size());
    const at::Tensor flags = bucket.flat.narrow(0, bucket.flat.numel() - count, count).to(at::kCPU, at::kFloat);
    const float* used = flags.data_ptr<float>();
    for (std::size_t position = 0; position < bucket.members.size(); ++position) {
      if (used[position] == 0) continue;
      at::Tensor& parameter = parameters_[bucket.members[position]];
      at::Tensor& view = bucket.views[position];
      parameter.mutable_grad() =
          view.scalar_type() == parameter.scalar_type() ? view : view.to(parameter.scalar_type());
    }
  }
  reset();
  if (!ordered_) orderByArrival();
}

void GradientAverager::reset() {
  for (Bucket& bucket : buckets_) {
    bucket.pending = bucket.members.size();
    bucket.work.reset();
  }
  arrived_.assign(arrived_.size(), false);
  next_ = 0;
}

}  // namespace dualvla
