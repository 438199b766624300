import {
  lazy,
  Suspense,
  useRef,
  useState,
  type ComponentProps,
  type ComponentType,
  type ReactNode,
  type RefObject,
} from "react";

export type MenuItem = {
  id: string;
  label?: string;
  note?: ReactNode;
  icon?: ComponentType<{ className?: string }>;
  run?: () => void;
  danger?: boolean;
  disabled?: boolean;
  /* Set (true or false) in a menu that chooses one of several. */
  checked?: boolean;
  separator?: boolean;
};

export type MenuProps = {
  open: boolean;
  onOpenChange: (open: boolean) => void;
  anchor: RefObject<HTMLElement | null>;
  label: string;
  items: MenuItem[];
  align?: "start" | "end";
  side?: "bottom" | "top";
  wide?: boolean;
};

const load = () => import("./menu-impl");
const Impl = lazy(load);

type TriggerProps = Pick<
  ComponentProps<"button">,
  "aria-haspopup" | "aria-expanded" | "onClick" | "onPointerEnter" | "onFocus"
> & { ref: RefObject<HTMLButtonElement | null> };

type MenuButtonProps = Omit<MenuProps, "open" | "onOpenChange" | "anchor"> & {
  children: (trigger: TriggerProps, open: boolean) => ReactNode;
};

/* A button of the caller's making with a menu whose code is fetched when the pointer or the focus
 * comes near. */
export function MenuButton({ children, ...menu }: MenuButtonProps) {
  const anchor = useRef<HTMLButtonElement>(null);
  const [open, setOpen] = useState(false);
  const [used, setUsed] = useState(false);
  const near = () => void load();
  return (
    <>
      {children(
        {
          ref: anchor,
          "aria-haspopup": "menu",
          "aria-expanded": open,
          onPointerEnter: near,
          onFocus: near,
          onClick: () => {
            setUsed(true);
            setOpen(!open);
          },
        },
        open,
      )}
      {used && (
        <Suspense>
          <Impl {...menu} open={open} onOpenChange={setOpen} anchor={anchor} />
        </Suspense>
      )}
    </>
  );
}
