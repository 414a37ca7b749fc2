// WebSockets of the server: a page has no headers, so its key is a subprotocol.
import { apiKey } from "../state/key";

export function openSocket(path: string, parameters: Record<string, string> = {}): WebSocket {
  const url = new URL(path, location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  const protocols = ["realtime"];
  if (apiKey.value) protocols.push(`openai-insecure-api-key.${apiKey.value}`);
  return new WebSocket(url, protocols);
}
