import { lazy, Suspense, useState, type ReactNode } from "react";

export type DialogProps = {
  open: boolean;
  onClose: () => void;
  title: ReactNode;
  description?: ReactNode;
  children?: ReactNode;
  footer?: ReactNode;
  shape?: "box" | "sheet" | "drawer";
  width?: "small" | "normal" | "wide";
  /* Without header and padding; the title is for screen readers only. */
  bare?: boolean;
  /* Closed by its own buttons only: it shows what will not be shown again. */
  keepOpen?: boolean;
};

const load = () => import("./dialog-impl");
const Impl = lazy(load);

/* Fetches the code of dialogs ahead of the click that needs it. */
export const preloadDialog = (): void => void load();

/* Its code is fetched when one is first opened. */
export function Dialog(props: DialogProps) {
  const [used, setUsed] = useState(props.open);
  if (props.open && !used) setUsed(true);
  if (!used) return null;
  return (
    <Suspense>
      <Impl {...props} />
    </Suspense>
  );
}
