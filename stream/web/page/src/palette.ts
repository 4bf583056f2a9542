/** Colours of the map, light and dark. Blue against orange: people of any colour vision tell them apart. */

export interface Palette {
  ground: string;
  edge: string;
  edgeStrong: string;
  none: string;
  /** Share → colour, around the promise. */
  scale: [share: number, colour: string][];
  hatch: string;
  dots: string;
  label: string;
  halo: string;
  missed: string;
  premises: string;
  priority: string;
  priorityOpen: string;
  pill: { overdue: [string, string]; open: [string, string]; there: [string, string]; closed: [string, string] };
  unit: Record<string, string>;
  unitEdge: string;
  select: string;
  water: string;
  road: string;
}

export const LIGHT: Palette = {
  ground: "#eef0ee",
  edge: "#8b97a1",
  edgeStrong: "#a52a0b",
  none: "#dfe2e3",
  scale: [
    [0.4, "#e8825a"],
    [0.65, "#f2b08d"],
    [0.78, "#f7dcc9"],
    [0.8, "#eef1ee"],
    [0.83, "#d3e4f1"],
    [0.92, "#a3c9e8"],
    [1, "#74abda"],
  ],
  hatch: "#a8431d66",
  dots: "#5f6b7588",
  label: "#17212b",
  halo: "#ffffffd9",
  missed: "#a93412",
  premises: "#3d4853",
  priority: "#7a4a93",
  priorityOpen: "#6b2f8a",
  pill: {
    overdue: ["#6b2f8a", "#ffffff"],
    open: ["#ffffff", "#6b2f8a"],
    there: ["#155e9c", "#ffffff"],
    closed: ["#f2f2f2", "#5a6269"],
  },
  unit: {
    on_patch: "#0b5394",
    off_patch: "#c14a09",
    not_visible: "#4d5965",
    break: "#8a949d",
    unknown: "#8a949d",
    none: "#9aa3ab",
  },
  unitEdge: "#ffffff",
  select: "#111a22",
  water: "#cddfe9",
  road: "#ffffff",
};

export const DARK: Palette = {
  ground: "#12181f",
  edge: "#53616e",
  edgeStrong: "#ff9a6e",
  none: "#242c34",
  scale: [
    [0.4, "#96482a"],
    [0.65, "#7a412b"],
    [0.78, "#4e3a32"],
    [0.8, "#2b343c"],
    [0.83, "#26404f"],
    [0.92, "#24557c"],
    [1, "#2468a3"],
  ],
  hatch: "#ffb38c55",
  dots: "#b7c2cc66",
  label: "#eef3f7",
  halo: "#0e141bd9",
  missed: "#ffab85",
  premises: "#c3ccd4",
  priority: "#b58ad0",
  priorityOpen: "#d3a5f0",
  pill: {
    overdue: ["#d9b0f2", "#24092f"],
    open: ["#1c222a", "#e2c3f5"],
    there: ["#8cc4f5", "#06223a"],
    closed: ["#232a32", "#a9b4bd"],
  },
  unit: {
    on_patch: "#7cc0ff",
    off_patch: "#ff9a5c",
    not_visible: "#b7c1ca",
    break: "#808b95",
    unknown: "#808b95",
    none: "#6d7883",
  },
  unitEdge: "#0b1016",
  select: "#ffffff",
  water: "#1a2a36",
  road: "#2b343d",
};
