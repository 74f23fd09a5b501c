import { serve } from "ocellus/worker";

serve(self);
