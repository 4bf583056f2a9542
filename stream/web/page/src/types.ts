/** The types of what the API says, under the names that the page has for them. */

import type { OfficerAtHome, Officer, Settings, Share } from "./api.ts";

export type * from "./api.ts";

export type Activity = Officer["activity"];
export type Basemap = NonNullable<Settings["basemap"]>;
export type Verdict = Share["verdict"];
export type TimelinePiece = OfficerAtHome["timeline"][number];
