#include "server/outbox.h"

#include <chrono>
#include <utility>

#include <boost/asio/write.hpp>

namespace mlx_audio::server {

namespace asio = boost::asio;
using Clock = std::chrono::steady_clock;
using ErrorCode = boost::system::error_code;

Outbox::Outbox(asio::ip::tcp::socket& socket, double limit)
    : socket_(socket), timer_(socket.get_executor()), limit_(limit) {}

void Outbox::send(std::string bytes, const std::shared_ptr<Owner>& owner) {
  if (stopped_) {
    return;
  }
  unsent_ += bytes.size();
  if (waiting_.empty()) {
    waiting_ = std::move(bytes);
  } else {
    waiting_ += bytes;
  }
  if (sending_.empty()) {
    flush(owner);
  }
}

void Outbox::flush(const std::shared_ptr<Owner>& owner) {
  sending_ = std::exchange(waiting_, {});
  timer_.expires_after(
      std::chrono::duration_cast<Clock::duration>(
          std::chrono::duration<double>(limit_)));
  timer_.async_wait([this, owner](ErrorCode error) {
    if (!error && !stopped_ && timer_.expiry() <= Clock::now()) {
      owner->sending_failed();
    }
  });
  asio::async_write(
      socket_,
      asio::buffer(sending_),
      [this, owner](ErrorCode error, size_t /* bytes */) {
        unsent_ -= sending_.size();
        sending_.clear();
        timer_.cancel();
        if (stopped_) {
          return;
        }
        if (error) {
          owner->sending_failed();
        } else if (!waiting_.empty()) {
          flush(owner);
        } else {
          owner->all_sent();
        }
      });
}

void Outbox::stop() {
  stopped_ = true;
  timer_.cancel();
}

} // namespace mlx_audio::server
