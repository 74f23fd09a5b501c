import { type Signal, useSignal, useSignalEffect } from "@preact/signals";
import type { RefObject } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { turns } from "./conversation.js";

/** How far above the end the conversation still follows the answer. */
const NEAR_PIXELS = 48;

interface Following {
  /** The element that scrolls. */
  readonly scroller: RefObject<HTMLDivElement | null>;
  /** Whether the reader scrolled away from the newest answer. */
  readonly away: Signal<boolean>;
  /** Scrolls to the newest answer and follows it again. */
  jump(): void;
}

/** Keeps the end of the newest answer in view while it is written, until the reader scrolls up; a new question is always shown. */
export function useFollowing(): Following {
  const scroller = useRef<HTMLDivElement>(null);
  const away = useSignal(false);
  const newest = useRef<string | undefined>(undefined);
  const toEnd = (): void => {
    const element = scroller.current;
    if (element) element.scrollTop = element.scrollHeight;
  };
  useSignalEffect(() => {
    const last = turns.value.at(-1)?.id;
    if (last === undefined) {
      away.value = false;
      // An empty conversation begins at its top.
      if (newest.current !== undefined) requestAnimationFrame(() => scroller.current?.scrollTo(0, 0));
      newest.current = undefined;
      return;
    }
    if (last !== newest.current) away.value = false;
    newest.current = last;
    // After the answer's new words are on the page.
    if (!away.peek()) requestAnimationFrame(toEnd);
  });
  useEffect(() => {
    const element = scroller.current!;
    const controller = new AbortController();
    const { signal } = controller;
    let known = "";
    const isResized = (): boolean => {
      const size = `${element.scrollHeight} ${element.clientHeight}`;
      const changed = size !== known;
      known = size;
      return changed;
    };
    // Pictures that load, a composer that grows and a window that shrinks move the end as well, and scroll in passing.
    const follow = (): void => {
      isResized();
      if (!away.peek() && turns.peek().length > 0) toEnd();
    };
    element.addEventListener(
      "scroll",
      () => {
        if (isResized() && !away.peek()) follow();
        else away.value = element.scrollHeight - element.clientHeight - element.scrollTop > NEAR_PIXELS;
      },
      { signal, passive: true },
    );
    const resized = new ResizeObserver(follow);
    resized.observe(element);
    resized.observe(element.firstElementChild!);
    return () => {
      controller.abort();
      resized.disconnect();
    };
  }, []);
  return {
    scroller,
    away,
    jump: () => {
      away.value = false;
      toEnd();
    },
  };
}
