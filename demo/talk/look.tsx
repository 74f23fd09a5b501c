import type { Turn } from "./conversation.js";
export function Look(_: { turn: Turn }) {
  return null;
}
