#pragma once

#include <functional>
#include <memory>
#include <string>

#include "mlx_audio/engine.h"
#include "server/exchange.h"

namespace mlx_audio::server {

/// Does the engine's work of one exchange: `submit` gives it to the engine
/// with the callback for its end; then `done` runs on the strand, or the error
/// is the response. A client that leaves cancels the work.
/// @param param the field to blame for an error; empty: none.
void engine_work(
    const ExchangePtr& x,
    const std::function<std::shared_ptr<Ticket>(
        std::function<void(const Error*)> finished)>& submit,
    std::function<void(const Ticket& ticket)> done,
    const std::string& param = "");

} // namespace mlx_audio::server
