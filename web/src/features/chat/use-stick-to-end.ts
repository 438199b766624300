import { useCallback, useEffect, useRef, useState } from "react";

const NEAR_PX = 100;

/* Keeps the end of a growing column in sight, as long as the reader is there: whoever scrolls up
 * is left alone. */
export function useStickToEnd() {
  const scroller = useRef<HTMLDivElement>(null);
  const content = useRef<HTMLDivElement>(null);
  const stuck = useRef(true);
  const [atEnd, setAtEnd] = useState(true);

  const toEnd = useCallback((smooth = false) => {
    const box = scroller.current;
    if (!box) return;
    stuck.current = true;
    setAtEnd(true);
    box.scrollTo({ top: box.scrollHeight, behavior: smooth ? "smooth" : "instant" });
  }, []);

  useEffect(() => {
    const box = scroller.current;
    const column = content.current;
    if (!box || !column) return;
    let lastTop = box.scrollTop;
    const onScroll = () => {
      const near = box.scrollHeight - box.scrollTop - box.clientHeight < NEAR_PX;
      /* only going up lets go: growing content alone must not */
      if (near) stuck.current = true;
      else if (box.scrollTop < lastTop - 2) stuck.current = false;
      lastTop = box.scrollTop;
      setAtEnd(near || stuck.current);
    };
    const observer = new ResizeObserver(() => {
      if (stuck.current) box.scrollTop = box.scrollHeight;
    });
    observer.observe(column);
    observer.observe(box);
    box.addEventListener("scroll", onScroll, { passive: true });
    return () => {
      observer.disconnect();
      box.removeEventListener("scroll", onScroll);
    };
  }, []);

  return { scroller, content, atEnd, toEnd };
}
