// Line icons of one weight, drawn here.
import type { JSX } from "preact";

const shapes = {
  speak: "M4 10v4M8 6v12M12 9v6M16 4v16M20 10v4",
  transcribe: "M4 6h16M4 11h11M4 16h16M4 21h7",
  clean: "M12 3l1.8 5.2L19 10l-5.2 1.8L12 17l-1.800-5.200L5 10l5.200-1.800zM19 16l.8 2.200L22 19l-2.200.8L19 22l-.8-2.200L16 19l2.200-.8z",
  models: "M12 3l8 4.500v9L12 21l-8-4.500v-9zM4 7.500l8 4.500 8-4.500M12 12v9",
  history: "M3.500 12a8.500 8.500 0 1 0 3-6.500L4 8M4 4v4h4M12 8v4.500l3 2",
  stage: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM3 12h18M12 3c3 2.500 4 5.500 4 9s-1 6.500-4 9c-3-2.500-4-5.500-4-9s1-6.500 4-9z",
  play: "M8 5.500v13l11-6.500z",
  pause: "M8 5v14M16 5v14",
  stop: "M7 7h10v10H7z",
  mic: "M12 3a3 3 0 0 0-3 3v5a3 3 0 0 0 6 0V6a3 3 0 0 0-3-3zM5.500 11a6.500 6.500 0 0 0 13 0M12 17.500V21M9 21h6",
  download: "M12 4v11M7.500 11l4.500 4.500 4.500-4.500M5 20h14",
  upload: "M12 16V5M7.500 9L12 4.500 16.500 9M5 20h14",
  key: "M14.500 3.500a6 6 0 1 0 0 12 6 6 0 0 0 0-12zM10.300 13.700L3.500 20.500M6 18l2.500 2.500",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2.500v2M12 19.500v2M2.500 12h2M19.500 12h2M5.300 5.300l1.400 1.400M17.300 17.300l1.400 1.400M5.300 18.700l1.400-1.400M17.300 6.700l1.400-1.400",
  moon: "M20 14.500A8.500 8.500 0 0 1 9.500 4a8.500 8.500 0 1 0 10.500 10.500z",
  auto: "M12 3.500a8.500 8.500 0 1 0 0 17 8.500 8.500 0 0 0 0-17zM12 3.500v17M12 7h6.500M12 12h8.500M12 17h6.500",
  close: "M6 6l12 12M18 6L6 18",
  trash: "M5 7h14M10 7V4.500h4V7M7 7l1 13h8l1-13M10.500 11v5.500M13.500 11v5.500",
  check: "M5 12.500l4.500 4.500L19 7.500",
  expand: "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
  warning: "M12 4L2.800 20h18.400zM12 10v4.500M12 17.300v.2",
  chevron: "M6 9.500l6 6 6-6",
  file: "M7 3h7l5 5v13H7zM14 3v5h5",
} as const;

export type IconName = keyof typeof shapes;

export function Icon({ name, size = 20 }: { name: IconName; size?: number }): JSX.Element {
  const solid = name === "play" || name === "stop";
  return (
    <svg
      class="icon"
      width={size}
      height={size}
      viewBox="0 0 24 24"
      fill={solid ? "currentColor" : "none"}
      stroke="currentColor"
      stroke-width="1.7"
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
    >
      <path d={shapes[name]} />
    </svg>
  );
}
