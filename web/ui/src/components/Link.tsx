import type { AnchorHTMLAttributes } from "react";
import { navigate } from "../lib/route";

type Props = AnchorHTMLAttributes<HTMLAnchorElement> & { href: string };

/** Link goes to another route of the page without loading it again; modified clicks stay the browser's. */
export function Link({ href, onClick, ...rest }: Props) {
  return (
    <a
      href={href}
      {...rest}
      onClick={(e) => {
        onClick?.(e);
        if (e.defaultPrevented || e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return;
        e.preventDefault();
        navigate(href);
        window.scrollTo(0, 0);
      }}
    />
  );
}
