// What JavaScript calls of the process group and the gradient averager. Calls block until the operation is done.
#include <map>
#include <mutex>

#include <ATen/ops/empty_like.h>

#include "engine.h"
#include "gradient_averager.h"
#include "process_group.h"

namespace dualvla {
namespace {

// Never destroyed: at exit, c10d's threads may still wait for peers that are gone.
struct State {
  std::mutex mutex;
  std::shared_ptr<ProcessGroup> group;
  std::map<std::int64_t, std::shared_ptr<GradientAverager>> averagers;
  std::int64_t next = 1;
};

State& state() {
  static auto* instance = new State;
  return *instance;
}

std::shared_ptr<ProcessGroup> currentGroup() {
  const std::lock_guard<std::mutex> lock(state().mutex);
  if (state().group == nullptr) fail("there is no process group: call distributed.init() first");
  return state().group;
}

std::shared_ptr<GradientAverager> averager(const Napi::CallbackInfo& info) {
  const std::int64_t id = integerArgument(info, 0, "averager");
  const std::lock_guard<std::mutex> lock(state().mutex);
  const auto found = state().averagers.find(id);
  if (found == state().averagers.end()) fail("there is no such gradient averager: it was disposed");
  return found->second;
}

c10d::ReduceOp::RedOpType reduceOperation(const std::string& name) {
  if (name == "sum" || name == "mean") return c10d::ReduceOp::SUM;
  if (name == "max") return c10d::ReduceOp::MAX;
  if (name == "min") return c10d::ReduceOp::MIN;
  if (name == "product") return c10d::ReduceOp::PRODUCT;
  fail("unknown reduction '" + name + "', expected sum, mean, max, min or product");
}

// distributedBackends() -> string[]
Napi::Value Backends(Engine&, const Napi::CallbackInfo& info) {
  const auto names = groupBackends();
  Napi::Array out = Napi::Array::New(info.Env(), names.size());
  for (std::size_t i = 0; i < names.size(); ++i) out.Set(static_cast<std::uint32_t>(i), names[i]);
  return out;
}

// distributedJoin(backend, address, port, rank, size, servesStore, prefix, timeoutMs, stages)
Napi::Value Join(Engine&, const Napi::CallbackInfo& info) {
  GroupOptions options;
  options.backend = stringArgument(info, 0, "backend");
  options.address = stringArgument(info, 1, "address");
  options.port = static_cast<std::uint16_t>(integerArgument(info, 2, "port"));
  options.rank = static_cast<int>(integerArgument(info, 3, "rank"));
  options.size = static_cast<int>(integerArgument(info, 4, "size"));
  options.serves_store = booleanArgument(info, 5, "servesStore");
  options.prefix = stringArgument(info, 6, "prefix");
  options.timeout = std::chrono::milliseconds(integerArgument(info, 7, "timeoutMs"));
  options.stages = booleanArgument(info, 8, "stages");
  {
    const std::lock_guard<std::mutex> lock(state().mutex);
    if (state().group != nullptr) fail("this process is already in a process group");
  }
  auto group = joinGroup(options);
  const std::lock_guard<std::mutex> lock(state().mutex);
  state().group = std::move(group);
  return info.Env().Undefined();
}

// distributedLeave()
Napi::Value Leave(Engine&, const Napi::CallbackInfo& info) {
  std::map<std::int64_t, std::shared_ptr<GradientAverager>> averagers;
  std::shared_ptr<ProcessGroup> group;
  {
    const std::lock_guard<std::mutex> lock(state().mutex);
    averagers.swap(state().averagers);
    group.swap(state().group);
  }
  return info.Env().Undefined();
}

// distributedAllReduce(tensor, operation): in place
Napi::Value AllReduce(Engine& engine, const Napi::CallbackInfo& info) {
  const auto group = currentGroup();
  at::Tensor tensor = engine.get(info[0]).detach();
  const std::string name = stringArgument(info, 1, "operation");
  const auto operation = reduceOperation(name);
  const bool low = tensor.scalar_type() == at::kBFloat16 || tensor.scalar_type() == at::kHalf;
  at::Tensor sent = tensor.contiguous();
  if (low && !group->reducesLowPrecision(tensor)) sent = sent.to(at::kFloat);
  group->allReduce(sent, operation)->wait();
  if (name == "mean") sent.div_(group->size);
  if (!sent.is_same(tensor)) tensor.copy_(sent);
  return info.Env().Undefined();
}

// distributedBroadcast(tensors, root): in place
Napi::Value Broadcast(Engine& engine, const Napi::CallbackInfo& info) {
  const auto group = currentGroup();
  const auto tensors = tensorsArgument(engine, info, 0, "tensors");
  const int root = static_cast<int>(integerArgument(info, 1, "root"));
  std::vector<at::Tensor> sent;
  std::vector<WorkPointer> works;
  for (const at::Tensor& tensor : tensors) {
    sent.push_back(tensor.detach().contiguous());
    works.push_back(group->broadcast(sent.back(), root));
  }
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    works[i]->wait();
    if (!tensors[i].is_contiguous()) tensors[i].detach().copy_(sent[i]);
  }
  return info.Env().Undefined();
}

// distributedAllGather(tensor) -> handles, one a rank
Napi::Value AllGather(Engine& engine, const Napi::CallbackInfo& info) {
  const auto group = currentGroup();
  const at::Tensor input = engine.get(info[0]).detach().contiguous();
  std::vector<at::Tensor> outputs;
  for (int i = 0; i < group->size; ++i) outputs.push_back(at::empty_like(input));
  group->allGather(outputs, input)->wait();
  Napi::Array out = Napi::Array::New(info.Env(), outputs.size());
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    out.Set(static_cast<std::uint32_t>(i), Napi::Number::New(info.Env(), engine.put(outputs[i])));
  }
  return out;
}

// distributedBarrier()
Napi::Value Barrier(Engine&, const Napi::CallbackInfo& info) {
  currentGroup()->barrier()->wait();
  return info.Env().Undefined();
}

// averagerCreate(parameters, firstBucketBytes, bucketBytes) -> id
Napi::Value AveragerCreate(Engine& engine, const Napi::CallbackInfo& info) {
  auto created = std::make_shared<GradientAverager>(
      currentGroup(), tensorsArgument(engine, info, 0, "parameters"),
      static_cast<std::size_t>(integerArgument(info, 1, "firstBucketBytes")),
      static_cast<std::size_t>(integerArgument(info, 2, "bucketBytes")));
  const std::lock_guard<std::mutex> lock(state().mutex);
  const std::int64_t id = state().next++;
  state().averagers[id] = std::move(created);
  return Napi::Number::New(info.Env(), static_cast<double>(id));
}

// averagerEnable(averager, enabled)
Napi::Value AveragerEnable(Engine&, const Napi::CallbackInfo& info) {
  averager(info)->setEnabled(booleanArgument(info, 1, "enabled"));
  return info.Env().Undefined();
}

// averagerFinish(averager) -> buckets that were on their way before backward ended
Napi::Value AveragerFinish(Engine&, const Napi::CallbackInfo& info) {
  const auto found = averager(info);
  found->finish();
  return Napi::Number::New(info.Env(), static_cast<double>(found->overlapped()));
}

// averagerBuckets(averager) -> number of buckets
Napi::Value AveragerBuckets(Engine&, const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(averager(info)->bucketCount()));
}

// averagerDispose(averager)
Napi::Value AveragerDispose(Engine&, const Napi::CallbackInfo& info) {
  const std::int64_t id = integerArgument(info, 0, "averager");
  std::shared_ptr<GradientAverager> dropped;
  const std::lock_guard<std::mutex> lock(state().mutex);
  const auto found = state().averagers.find(id);
  if (found == state().averagers.end()) return info.Env().Undefined();
  dropped = std::move(found->second);
  state().averagers.erase(found);
  return info.Env().Undefined();
}

}  // namespace

void exposeDistributed(Engine& engine, Napi::Object exports) {
  expose<Backends>(engine, exports, "distributedBackends");
  expose<Join>(engine, exports, "distributedJoin");
  expose<Leave>(engine, exports, "distributedLeave");
  expose<AllReduce>(engine, exports, "distributedAllReduce");
  expose<Broadcast>(engine, exports, "distributedBroadcast");
  expose<AllGather>(engine, exports, "distributedAllGather");
  expose<Barrier>(engine, exports, "distributedBarrier");
  expose<AveragerCreate>(engine, exports, "averagerCreate");
  expose<AveragerEnable>(engine, exports, "averagerEnable");
  expose<AveragerFinish>(engine, exports, "averagerFinish");
  expose<AveragerBuckets>(engine, exports, "averagerBuckets");
  expose<AveragerDispose>(engine, exports, "averagerDispose");
}

}  // namespace dualvla
