// Bytes on their way to a client, in order; one that takes none for too long is
// given up.
#pragma once

#include <memory>
#include <string>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

namespace mlx_audio::server {

class Outbox {
 public:
  /// Lives as long as bytes are under way.
  class Owner {
   public:
    virtual ~Owner() = default;
    virtual void all_sent() = 0;
    virtual void sending_failed() = 0;
  };

  /// @param limit seconds that a write may take
  Outbox(boost::asio::ip::tcp::socket& socket, double limit);

  void send(std::string bytes, const std::shared_ptr<Owner>& owner);
  /// Calls its owner no more; nothing more is sent.
  void stop();

  /// Whether everything has been sent.
  bool idle() const {
    return sending_.empty();
  }
  size_t unsent() const {
    return unsent_;
  }

 private:
  void flush(const std::shared_ptr<Owner>& owner);

  boost::asio::ip::tcp::socket& socket_;
  boost::asio::steady_timer timer_;
  double limit_;
  std::string waiting_;
  std::string sending_;
  size_t unsent_ = 0;
  bool stopped_ = false;
};

} // namespace mlx_audio::server
