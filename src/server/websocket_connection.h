// A connection after its upgrade.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>

#include "server/hub.h"
#include "server/websocket.h"

namespace mlx_audio::server {

/// Takes `socket` over, unless it throws ApiError because the route refuses.
void accept_web_socket(
    boost::asio::ip::tcp::socket& socket,
    Hub& hub,
    const WebSocketRoute& route,
    Request request,
    boost::beast::http::request<boost::beast::http::string_body> upgrade);

} // namespace mlx_audio::server
