import { useLingui } from "@lingui/react/macro";
import { PanelLeft } from "lucide-react";
import { useRail } from "./rail-store";
import { IconButton } from "./ui/button";

/* Opens the drawer on a phone, and the rail where it was folded away. */
export function RailToggle() {
  const { t } = useLingui();
  const { folded, setFolded, setDrawer } = useRail();
  return (
    <>
      <IconButton label={t`Open the menu`} className="md:hidden" onClick={() => setDrawer(true)}>
        <PanelLeft className="size-4.5" aria-hidden="true" />
      </IconButton>
      {folded && (
        <IconButton
          label={t`Show the side bar`}
          className="max-md:hidden"
          onClick={() => setFolded(false)}
        >
          <PanelLeft className="size-4.5" aria-hidden="true" />
        </IconButton>
      )}
    </>
  );
}
