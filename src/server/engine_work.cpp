#include "server/engine_work.h"

#include <optional>
#include <utility>

namespace mlx_audio::server {

void engine_work(
    const ExchangePtr& x,
    const std::function<std::shared_ptr<Ticket>(
        std::function<void(const Error*)> finished)>& submit,
    std::function<void(const Ticket& ticket)> done,
    const std::string& param /* = "" */) {
  // The end may come before submit() returns; what it posts runs after this.
  auto ticket = std::make_shared<std::shared_ptr<Ticket>>();
  *ticket =
      submit([x, ticket, done = std::move(done), param](const Error* error) {
        auto failure =
            error == nullptr ? std::optional<Error>() : std::optional(*error);
        x->post([ticket, done, param, failure] {
          if (failure) {
            throw ApiError(*failure, param);
          }
          done(**ticket);
        });
      });
  x->on_close([ticket] { (*ticket)->cancel(); });
}

} // namespace mlx_audio::server
