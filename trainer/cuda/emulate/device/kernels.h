// Every kernel by name, and how to call one from the array of pointers to arguments that cuLaunchKernel receives.
#pragma once
#include "../emulate.h"
#include <functional>
#include <map>
#include <string>
#include <tuple>
#include <utility>

// A launch whose arguments have been copied, so that it can be run now or replayed later.
using Bound = std::function<void()>;
using Binder = std::function<Bound(void **)>;

template <typename... A, size_t... I> Binder binder(void (*kernel)(A...), std::index_sequence<I...>) {
    return [kernel](void **arguments) -> Bound {
        std::tuple<std::decay_t<A>...> copy(*static_cast<std::decay_t<A> *>(arguments[I])...);
        return [kernel, copy] { std::apply(kernel, copy); };
    };
}
template <typename... A> Binder binder(void (*kernel)(A...)) { return binder(kernel, std::index_sequence_for<A...>{}); }

// Those of candle itself.
void add_candle_kernels(std::map<std::string, Binder> &table);
const std::map<std::string, Binder> &kernels();
