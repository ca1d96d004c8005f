// Sets environment variables of the process from JavaScript.
//
// A Worker's process.env is a copy, and OpenMP and OpenBLAS read their variables once, while libtorch is being loaded.
// This addon does not depend on libtorch, so that it can run before.
#include <cstdlib>
#include <string>

#include <napi.h>

namespace {

// set(name, value): sets a variable that is not set yet. Returns whether it was set now.
Napi::Value Set(const Napi::CallbackInfo& info) {
  if (info.Length() != 2 || !info[0].IsString() || !info[1].IsString()) {
    throw Napi::TypeError::New(info.Env(), "set(name: string, value: string)");
  }
  const std::string name = info[0].As<Napi::String>();
  const std::string value = info[1].As<Napi::String>();
  if (name.empty() || name.find('=') != std::string::npos || std::getenv(name.c_str()) != nullptr) {
    return Napi::Boolean::New(info.Env(), false);
  }
  return Napi::Boolean::New(info.Env(), setenv(name.c_str(), value.c_str(), 0) == 0);
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports.Set("set", Napi::Function::New(env, Set, "set"));
  return exports;
}

}  // namespace

NODE_API_MODULE(environment, Init)
