// One client's connection: reads requests within limits of size and time, and
// keeps the socket until the client has what it asked for.
#pragma once

#include <boost/asio/ip/tcp.hpp>

#include "server/hub.h"

namespace mlx_audio::server {

/// Serves HTTP requests, or a WebSocket, until the client leaves.
void serve_connection(boost::asio::ip::tcp::socket socket, Hub& hub);

} // namespace mlx_audio::server
