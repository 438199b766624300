/* Web storage that never throws (it may be switched off) and never holds a secret. */
function guarded(storage: () => Storage) {
  return {
    get(name: string): string | null {
      try {
        return storage().getItem(`weir.${name}`);
      } catch {
        return null;
      }
    },
    set(name: string, value: string | null): void {
      try {
        if (value === null) storage().removeItem(`weir.${name}`);
        else storage().setItem(`weir.${name}`, value);
      } catch {
        /* full or forbidden: what was to be kept is a convenience only */
      }
    },
  };
}

export const kept = guarded(() => localStorage);
export const keptInTab = guarded(() => sessionStorage);
