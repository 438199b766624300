import { Menu as Base } from "@base-ui/react/menu";
import { Check } from "lucide-react";
import { cx } from "@/lib/cx";
import type { MenuItem, MenuProps } from "./menu";

const row =
  "flex min-h-9 pointer-coarse:min-h-11 cursor-pointer items-center gap-2.5 rounded-small px-2.5 py-1.5 outline-none select-none data-disabled:cursor-default data-disabled:opacity-50 data-highlighted:bg-hover";

function Row({ item }: { item: MenuItem }) {
  const Icon = item.icon;
  return (
    <>
      {Icon && <Icon className="size-4 shrink-0 opacity-80" aria-hidden="true" />}
      <span className="min-w-0 flex-1">
        <span className="block truncate">{item.label}</span>
        {item.note && <span className="block text-caption text-faint">{item.note}</span>}
      </span>
    </>
  );
}

export default function MenuImpl({
  open,
  onOpenChange,
  anchor,
  label,
  items,
  align = "start",
  side = "bottom",
  wide = false,
}: MenuProps) {
  const chosen = items.find((item) => item.checked)?.id ?? "";
  const choice = items.some((item) => item.checked !== undefined);
  const list = items.map((item) => {
    if (item.separator) return <Base.Separator key={item.id} className="my-1 h-px bg-line" />;
    const className = cx(row, item.danger && "text-danger");
    if (item.checked !== undefined) {
      return (
        <Base.RadioItem
          key={item.id}
          value={item.id}
          disabled={item.disabled}
          closeOnClick
          className={className}
        >
          <Row item={item} />
          <Base.RadioItemIndicator className="shrink-0 text-accent">
            <Check className="size-4" aria-hidden="true" />
          </Base.RadioItemIndicator>
        </Base.RadioItem>
      );
    }
    return (
      <Base.Item key={item.id} disabled={item.disabled} onClick={item.run} className={className}>
        <Row item={item} />
      </Base.Item>
    );
  });
  return (
    <Base.Root
      open={open}
      modal={false}
      onOpenChange={(next, details) => {
        /* a press on the button itself is the button's own business */
        const target = details.event?.target;
        if (!next && target instanceof Node && anchor.current?.contains(target)) return;
        onOpenChange(next);
      }}
    >
      <Base.Portal>
        <Base.Positioner
          anchor={anchor}
          side={side}
          align={align}
          sideOffset={6}
          collisionPadding={8}
          className="z-40"
        >
          <Base.Popup
            aria-label={label}
            finalFocus={anchor}
            className={cx(
              "max-h-(--available-height) overflow-y-auto rounded-large border border-line bg-raised p-1 shadow-pop outline-none",
              "transition-opacity duration-100 data-ending-style:opacity-0 data-starting-style:opacity-0",
              wide ? "w-[min(22rem,calc(100vw-1rem))]" : "min-w-44",
            )}
          >
            {choice ? (
              <Base.RadioGroup
                value={chosen}
                onValueChange={(id: string) => items.find((item) => item.id === id)?.run?.()}
              >
                {list}
              </Base.RadioGroup>
            ) : (
              list
            )}
          </Base.Popup>
        </Base.Positioner>
      </Base.Portal>
    </Base.Root>
  );
}
